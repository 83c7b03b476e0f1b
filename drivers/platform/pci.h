/* PCI configuration space of segment 0, by the ports of configuration mechanism 1. */
#pragma once

#include "lib/types.h"

/* A byte of configuration space. f: bus in bits 15-8, device 7-3, function 2-0. */
void pci_write8(u32 f, u32 offset, u8 v);

/*
 * DMA is denied by default: clears bus mastering on every function but bridges and the display
 * whose memory holds the screen (some displays read their framebuffer by it). Every bus number is
 * tried, since root buses that no bridge leads to exist. Boot CPU, at start.
 */
void pci_quiesce(hpa_t screen);

/*
 * An event on its way into a guest: the layout of both vendors' fields. Intel SDM 3, "Format of the
 * VM-Entry Interruption-Information Field"; AMD APM 2, "Event Injection".
 */
#pragma once

/* Bits 0-7 vector, 8-10 type, 11 error code valid, 31 valid. */
enum hv_event {
	HV_EVENT_IRQ = 0u << 8,
	HV_EVENT_NMI = 2u << 8 | 2,
	HV_EVENT_EXCEPTION = 3u << 8,
	HV_EVENT_SOFT_INT = 4u << 8,
	HV_EVENT_ERROR = 1u << 11,
	HV_EVENT_VALID = 1u << 31,
};
#define EVENT_VECTOR_MASK 0xffu
#define EVENT_TYPE_MASK 0x700u
#define EVENT_DEFINED 0x80000fffu

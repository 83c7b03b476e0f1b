#include "vmm/acpi_pm.h"

#include "vmm/irq.h"
#include "vmm/state.h"

enum pm_reg { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8 };
enum gpe_reg { GPE_STS = ACPI_GPE, GPE_EN = ACPI_GPE + ACPI_GPE_BYTES / 2 };
#define GPE_EVENTS (1u << GPE_CPU_HOTPLUG)
/* clang-format off */
enum pm1 {
	PM1_TMR = 1 << 0, PM1_GBL = 1 << 5, PM1_PWRBTN = 1 << 8, PM1_SLPBTN = 1 << 9,
	PM1_RTC = 1 << 10, PM1_WAK = 1 << 15,
};
/* clang-format on */
#define PM1_EVENTS (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC)
enum pm1_cnt { CNT_SCI_EN = 1 << 0, CNT_BM_RLD = 1 << 1, CNT_SLP_EN = 1 << 13 };
#define CNT_SLP_TYP(v) ((v) >> 10 & 7u)
#define CNT_SLP_TYP_MASK (7u << 10)

#define TIMER_MASK 0xffffffu /* 24 bits; the status bit follows bit 23 */
#define CARRY_TICKS (1u << 23)

static u64 ticks(u64 ns) { return mul_div(ns, ACPI_PM_TIMER_HZ, NS_PER_S); }

/* The next time after now at which bit 23 changes. */
static u64 next_carry(u64 now)
{
	return mul_div((ticks(now) / CARRY_TICKS + 1) * CARRY_TICKS, NS_PER_S, ACPI_PM_TIMER_HZ) +
	       1;
}

/* Brings the timer's status bit, the interrupt line and our timer up to date. */
static void update(struct acpi_pm *a)
{
	bool wanted = a->enable & PM1_TMR;

	if (dev_now(&a->dev) >= a->carry)
		a->status |= PM1_TMR;
	dev_line(&a->dev, IRQ_SCI,
		 (a->status & a->enable & PM1_EVENTS) | (a->gpe_status & a->gpe_enable));
	dev_timer(&a->dev, &a->timer, wanted && !(a->status & PM1_TMR) ? a->carry : VTIMER_OFF);
}

static void expired(struct device *d) { update(container_of(d, struct acpi_pm, dev)); }

static u32 register_read(struct acpi_pm *a, u64 reg)
{
	switch (reg) {
	case PM1_STS: update(a); return a->status;
	case PM1_EN: return a->enable;
	case PM1_CNT: return a->control | CNT_SCI_EN; /* there is no legacy mode to leave */
	case PM_TMR: return (u32)ticks(dev_now(&a->dev)) & TIMER_MASK;
	default: return (u32)(ticks(dev_now(&a->dev)) & TIMER_MASK) >> 16;
	}
}

/* Registers are 16 bits wide and read as such; the timer is 32. */
static u64 pm_read(struct device *d, u64 offset, u32 size)
{
	struct acpi_pm *a = container_of(d, struct acpi_pm, dev);
	u64 reg = offset & ~1ull, v;

	if (offset >= ACPI_GPE)
		return offset == GPE_STS ? a->gpe_status : offset == GPE_EN ? a->gpe_enable : 0;
	if (offset == PM_TMR)
		return register_read(a, PM_TMR);
	if (offset == 6 || offset == 7)
		return 0;
	v = register_read(a, reg);
	if (size == 4 && reg < PM1_CNT)
		v |= (u64)register_read(a, reg + 2) << 16;
	return v >> (offset & 1) * 8;
}

static void status_write(struct acpi_pm *a, u16 clear)
{
	update(a);
	a->status &= (u16) ~(clear & (PM1_EVENTS | PM1_WAK));
	if (clear & PM1_TMR)
		a->carry = next_carry(dev_now(&a->dev));
	update(a);
}

static void control_write(struct acpi_pm *a, u16 v)
{
	u32 type = CNT_SLP_TYP(v);

	a->control = v & (CNT_BM_RLD | CNT_SLP_TYP_MASK);
	/* Type 0 is QEMU's S5: small guests write it without looking into \_S5. */
	if (v & CNT_SLP_EN && (type == ACPI_SLP_TYP_S5 || !type))
		dev_end(&a->dev, VM_REASON_POWEROFF, VM_STATUS_OK);
}

/* One 16-bit register, or the byte of it that `keep` leaves. */
static void register_write(struct acpi_pm *a, u64 reg, u16 v, u16 keep)
{
	switch (reg) {
	case PM1_STS: status_write(a, v & (u16)~keep); break;
	case PM1_EN:
		a->enable = (u16)((a->enable & keep) | (v & ~keep)) & PM1_EVENTS;
		update(a);
		break;
	case PM1_CNT: control_write(a, (u16)((a->control & keep) | (v & ~keep))); break;
	default: break;
	}
}

static void gpe_write(struct acpi_pm *a, u64 offset, u8 value)
{
	if (offset == GPE_STS)
		a->gpe_status &= (u8)~value;
	else if (offset == GPE_EN)
		a->gpe_enable = value & GPE_EVENTS;
	update(a);
}

static void pm_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct acpi_pm *a = container_of(d, struct acpi_pm, dev);
	u64 reg = offset & ~1ull;

	if (offset >= ACPI_GPE) {
		gpe_write(a, offset, (u8)value);
		return;
	}
	if (size == 1) {
		u32 shift = (offset & 1) * 8;

		register_write(a, reg, (u16)(value << shift), (u16) ~(0xffu << shift));
		return;
	}
	register_write(a, reg, (u16)value, 0);
	if (size == 4)
		register_write(a, reg + 2, (u16)(value >> 16), 0);
}

void acpi_pm_button(struct acpi_pm *a)
{
	rt_lock(&a->dev.lock);
	a->status |= PM1_PWRBTN;
	update(a);
	rt_unlock(&a->dev.lock);
}

void acpi_pm_gpe(struct acpi_pm *a, enum acpi_gpe event)
{
	rt_lock(&a->dev.lock);
	a->gpe_status |= (u8)BIT(event);
	update(a);
	rt_unlock(&a->dev.lock);
}

static void pm_reset(struct device *d)
{
	struct acpi_pm *a = container_of(d, struct acpi_pm, dev);

	a->status = a->enable = a->control = 0;
	a->gpe_status = a->gpe_enable = 0;
	a->carry = next_carry(dev_now(d));
	a->timer.dev = d;
	a->timer.fn = expired;
	dev_timer(d, &a->timer, VTIMER_OFF);
}

static void pm_restored(struct device *d)
{
	struct acpi_pm *a = container_of(d, struct acpi_pm, dev);

	a->gpe_status &= GPE_EVENTS;
	a->gpe_enable &= GPE_EVENTS;
	update(a);
}

static const struct state_field pm_fields[] = {
	STATE_FIELD(struct acpi_pm, status, 1),	    STATE_FIELD(struct acpi_pm, enable, 1),
	STATE_FIELD(struct acpi_pm, control, 1),    STATE_FIELD(struct acpi_pm, carry, 1),
	STATE_FIELD(struct acpi_pm, gpe_status, 2), STATE_FIELD(struct acpi_pm, gpe_enable, 2),
};

static const struct dev_ops pm_ops = {
	.name = "acpi-pm",
	.version = 2,
	.max_size = 4,
	.read = pm_read,
	.write = pm_write,
	.reset = pm_reset,
	.restored = pm_restored,
	.fields = pm_fields,
	.field_count = ARRAY_SIZE(pm_fields),
};

void acpi_pm_init(struct acpi_pm *a, struct platform *plat) { device_init(&a->dev, &pm_ops, plat); }

/* Why an entry would refuse the guest state. Intel SDM 3, "Checks on the Guest State Area". */
#include "vmx/vmx.h"

#include "hv/up.h"

const char *vmx_audit(struct vcpu *v)
{
	struct hv_mode m;

	vmx_read_mode(v, &m);
	return cr_broken(m.cr0, m.cr4, m.efer);
}

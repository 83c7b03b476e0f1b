/* nodeinfo: the NUMA nodes of the machine. */
#include "services/common/cpulist.h"
#include "services/manager/manager.h"
#include "user/sys.h"

static bool node_get(struct manager *m, u32 node, struct node_info *out)
{
	s64 e;

	*out = (struct node_info){.node = node};
	e = sys_ctl(m->start.system, SYSOP_NODEINFO, out, sizeof(*out));
	if (e < 0)
		con_printf(m, "error: %s\n", rt_error(e));
	return e >= 0;
}

void cmd_nodeinfo(struct manager *m, u32 words, const char *const *word)
{
	struct node_info n = {.nodes = 1};
	char cpus[CPULIST_MAX];

	con_printf(m, " Node   Domain     Total KiB     Free KiB  CPUs\n");
	for (u32 i = 0; i < n.nodes; i++) {
		if (!node_get(m, i, &n))
			return;
		cpulist_print(n.cpus, cpus, sizeof(cpus));
		con_printf(m, " %-4u %8u  %12lu %12lu  %s\n", i, n.domain, n.mem_total >> 10,
			   n.mem_free >> 10, cpus[0] ? cpus : "-");
	}
	con_printf(m, "Distances\n");
	for (u32 i = 0; i < n.nodes; i++) {
		if (!node_get(m, i, &n))
			return;
		con_printf(m, " %-4u", i);
		for (u32 k = 0; k < MIN(n.nodes, NODES_MAX); k++)
			con_printf(m, " %3u", n.distance[k]);
		con_printf(m, "\n");
	}
}

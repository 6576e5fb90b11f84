/* SPDX-License-Identifier: MIT */
/* policy.c - see policy.h. To be written. */
#include "plugins/net-nat/policy.h"

int policy_read(const struct capsa_value *value, struct policy **out, char *cause, size_t size)
{
	(void)value;
	(void)out;
	(void)cause;
	(void)size;
	*out = NULL;
	return 0;
}

void policy_free(struct policy *policy)
{
	(void)policy;
}

struct verdict policy_judge(struct policy *policy, const struct names *names, const struct host_addresses *host,
                            const struct policy_question *question)
{
	(void)policy;
	(void)names;
	(void)host;
	(void)question;
	return (struct verdict){ 0 };
}

bool policy_allows_name(const struct policy *policy, const char *name)
{
	(void)policy;
	(void)name;
	return false;
}

bool policy_name_fits(const struct policy *policy, const struct verdict *verdict, const char *name)
{
	(void)policy;
	(void)verdict;
	(void)name;
	return false;
}

bool policy_checks_names(const struct policy *policy)
{
	(void)policy;
	return false;
}

void policy_count(struct policy *policy, const struct verdict *verdict, uint64_t flows, uint64_t bytes)
{
	(void)policy;
	(void)verdict;
	(void)flows;
	(void)bytes;
}

unsigned policy_rules(const struct policy *policy)
{
	(void)policy;
	return 0;
}

void policy_describe(const struct policy *policy, int rule, struct policy_rule_info *out)
{
	(void)policy;
	(void)rule;
	(void)out;
}

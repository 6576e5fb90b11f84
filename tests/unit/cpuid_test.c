/* SPDX-License-Identifier: MIT */
/* cpuid_test.c - the processors' topology that capsa puts into CPUID. Leaves: Intel SDM volume 2A, AMD APM volume 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/cpuid.h"

#define ROOM 16u

static struct kvm_cpuid2 *cpuid;

static struct kvm_cpuid_entry2 *add(uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->nent++];

	assert_true(cpuid->nent <= ROOM);
	*entry = (struct kvm_cpuid_entry2){ .function = function, .index = index };
	return entry;
}

static void vendor(const char *name)
{
	struct kvm_cpuid_entry2 *entry = add(0, 0);

	memcpy(&entry->ebx, name, 4);
	memcpy(&entry->edx, name + 4, 4);
	memcpy(&entry->ecx, name + 8, 4);
}

static int setup(void **state)
{
	(void)state;
	cpuid = calloc(1, sizeof *cpuid + ROOM * sizeof cpuid->entries[0]);
	assert_non_null(cpuid);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(cpuid);
	return 0;
}

static void a_processor_knows_its_number_and_the_others(void **state)
{
	struct kvm_cpuid_entry2 *leaf = add(1, 0);

	(void)state;
	leaf->ebx = 0xaabbccdd; /* the host's processor: brand and flush line size stay */
	cpuid_set_topology(cpuid, 3, 4);
	assert_int_equal(leaf->ebx, 3u << 24 | 4 << 16 | 0xccdd);
	assert_true(leaf->edx & 1u << 28);
	assert_true(leaf->ecx & 1u << 31); /* a hypervisor is there */
	assert_true(leaf->ecx & 1u << 24); /* TSC deadline timer */
}

static void a_single_processor_has_no_neighbours(void **state)
{
	struct kvm_cpuid_entry2 *leaf = add(1, 0);

	(void)state;
	leaf->edx = 1u << 28;
	cpuid_set_topology(cpuid, 0, 1);
	assert_int_equal(leaf->ebx, 1u << 16);
	assert_int_equal(leaf->edx & 1u << 28, 0);
}

static void the_last_processor_has_a_number(void **state)
{
	struct kvm_cpuid_entry2 *leaf = add(1, 0);

	(void)state;
	cpuid_set_topology(cpuid, 253, 254);
	assert_int_equal(leaf->ebx, 253u << 24 | 254u << 16);
}

static void every_processor_is_a_core_of_one_package(void **state)
{
	static const uint32_t leaves[] = { 0xb, 0x1f };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct kvm_cpuid_entry2 *smt = add(leaves[i], 0), *core = add(leaves[i], 1), *end = add(leaves[i], 2);

		cpuid_set_topology(cpuid, 2, 3);
		/* Level type in bits 8..15 of ECX: 1 threads, 2 cores, 0 ends the list. */
		assert_int_equal(smt->ecx, 1 << 8);
		assert_int_equal(smt->eax, 0);
		assert_int_equal(smt->ebx, 1);
		assert_int_equal(core->ecx, 2 << 8 | 1);
		assert_int_equal(core->eax, 2); /* bits that number three cores */
		assert_int_equal(core->ebx, 3);
		assert_int_equal(end->ecx, 2);
		assert_int_equal(end->ebx, 0);
		assert_int_equal(smt->edx, 2);
		assert_int_equal(core->edx, 2);
	}
}

static void caches_below_the_last_level_are_private(void **state)
{
	struct kvm_cpuid_entry2 *l1 = add(4, 0), *l3 = add(4, 3), *none = add(4, 4);

	(void)state;
	l1->eax = 1 << 5 | 1;
	l3->eax = 3 << 5 | 3;
	cpuid_set_topology(cpuid, 0, 4);
	assert_int_equal(l1->eax >> 14 & 0xfff, 0);
	assert_int_equal(l3->eax >> 14 & 0xfff, 3);
	assert_int_equal(l1->eax >> 26, 3);
	assert_int_equal(l1->eax & 0x3fff, 1 << 5 | 1);
	assert_int_equal(none->eax, 0);
}

static void performance_counters_are_hidden(void **state)
{
	struct kvm_cpuid_entry2 *leaf = add(0xa, 0);

	(void)state;
	leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = ~0u;
	cpuid_set_topology(cpuid, 0, 1);
	assert_int_equal(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx, 0);
}

static void amd_counts_cores_its_own_way(void **state)
{
	struct kvm_cpuid_entry2 *sizes = add(0x80000008, 0), *topology = add(0x8000001e, 0);

	(void)state;
	cpuid_set_topology(cpuid, 5, 6);
	assert_int_equal(sizes->ecx & 0xff, 5);
	assert_int_equal(sizes->ecx >> 12 & 0xf, 3);
	assert_int_equal(topology->eax, 5);
	assert_int_equal(topology->ebx, 5);
	assert_int_equal(topology->ecx, 0);
}

static void the_guests_address_width_counts_before_the_hosts(void **state)
{
	struct kvm_cpuid_entry2 *sizes;

	(void)state;
	assert_int_equal(cpuid_physical_bits(cpuid), 36);
	sizes = add(0x80000008, 0);
	sizes->eax = 48 << 8 | 46;
	assert_int_equal(cpuid_physical_bits(cpuid), 46);
	sizes->eax |= 40 << 16;
	assert_int_equal(cpuid_physical_bits(cpuid), 40);
}

static void amd_and_hygon_are_told_from_intel(void **state)
{
	static const struct {
		const char *name;
		bool amd;
	} vendors[] = { { "AuthenticAMD", true }, { "HygonGenuine", true }, { "GenuineIntel", false } };

	(void)state;
	assert_false(cpuid_vendor_is_amd(cpuid));
	for (unsigned i = 0; i < 3; i++) {
		cpuid->nent = 0;
		vendor(vendors[i].name);
		assert_int_equal(cpuid_vendor_is_amd(cpuid), vendors[i].amd);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_processor_knows_its_number_and_the_others),
		TEST(a_single_processor_has_no_neighbours),
		TEST(the_last_processor_has_a_number),
		TEST(every_processor_is_a_core_of_one_package),
		TEST(caches_below_the_last_level_are_private),
		TEST(performance_counters_are_hidden),
		TEST(amd_counts_cores_its_own_way),
		TEST(the_guests_address_width_counts_before_the_hosts),
		TEST(amd_and_hygon_are_told_from_intel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

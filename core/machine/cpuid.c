/* SPDX-License-Identifier: MIT */
/* cpuid.c - see cpuid.h. Called by machine.c and vcpu.c. Leaves: Intel SDM vol. 2A, CPUID; AMD APM vol. 3, E. */
#include "core/machine/cpuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CPUID_ROOM 256u

enum {
	LEAF_FEATURES = 0x1,
	LEAF_CACHE = 0x4,
	LEAF_PERFORMANCE = 0xa,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TOPOLOGY_V2 = 0x1f,
	ECX_TSC_DEADLINE = 1u << 24,
	ECX_HYPERVISOR = 1u << 31,
	EDX_HTT = 1u << 28,
};
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_TOPOLOGY 0x8000001eu

int cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out, struct error *err)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + CPUID_ROOM * sizeof cpuid->entries[0]);

	if (!cpuid)
		return error_set(err, ENOMEM, "no memory for CPUID");
	cpuid->nent = CPUID_ROOM;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		int code = errno;

		free(cpuid);
		return error_set(err, code, "KVM does not tell which CPUID it supports (KVM_GET_SUPPORTED_CPUID)");
	}
	*out = cpuid;
	return 0;
}

/* Bits needed to number `cpus` processors. */
static unsigned width(unsigned cpus)
{
	unsigned bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

/* Extended topology: level 0 has one thread a core, level 1 all cores of the package. */
static void extended_topology(struct kvm_cpuid_entry2 *entry, unsigned apic_id, unsigned cpus)
{
	enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };

	entry->eax = entry->ebx = 0;
	entry->ecx = entry->index;
	entry->edx = apic_id;
	if (entry->index == 0) {
		entry->ebx = 1;
		entry->ecx |= LEVEL_SMT << 8;
	} else if (entry->index == 1) {
		entry->eax = width(cpus);
		entry->ebx = cpus;
		entry->ecx |= LEVEL_CORE << 8;
	}
}

void cpuid_set_topology(struct kvm_cpuid2 *cpuid, unsigned apic_id, unsigned cpus)
{
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			e->ebx = (e->ebx & 0x0000ffffu) | apic_id << 24 | (cpus > 1 ? cpus << 16 : 1u << 16);
			e->ecx |= ECX_TSC_DEADLINE | ECX_HYPERVISOR;
			e->edx = cpus > 1 ? e->edx | EDX_HTT : e->edx & ~(uint32_t)EDX_HTT;
			break;
		case LEAF_CACHE:
			/* Bits 14..25: threads that share this cache, less one; 26..31: cores of the package, less one.
			 */
			if (e->eax & 0x1f) {
				unsigned level = (e->eax >> 5) & 7;
				unsigned sharing = level >= 3 ? (1u << width(cpus)) - 1 : 0;
				unsigned cores = (1u << width(cpus)) - 1;

				e->eax = (e->eax & 0x3fffu) | (sharing & 0xfff) << 14 | (cores > 63 ? 63 : cores) << 26;
			}
			break;
		case LEAF_PERFORMANCE:
			/* No performance counters: their set-up costs boot time, and they measure the host. */
			e->eax = e->ebx = e->ecx = e->edx = 0;
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			extended_topology(e, apic_id, cpus);
			break;
		case LEAF_AMD_SIZES:
			e->ecx = cpus > 1 ? width(cpus) << 12 | (cpus - 1) : 0;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = apic_id;
			e->ebx = apic_id & 0xff; /* core identifier; one thread a core */
			e->ecx = 0;
			break;
		}
	}
}

unsigned cpuid_physical_bits(const struct kvm_cpuid2 *cpuid)
{
	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == LEAF_AMD_SIZES) {
			unsigned host = cpuid->entries[i].eax & 0xff, guest = cpuid->entries[i].eax >> 16 & 0xff;

			return guest ? guest : host;
		}
	return 36;
}

bool cpuid_vendor_is_amd(const struct kvm_cpuid2 *cpuid)
{
	for (unsigned i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		uint32_t name[3] = { e->ebx, e->edx, e->ecx };

		if (e->function == 0)
			return memcmp(name, "AuthenticAMD", 12) == 0 || memcmp(name, "HygonGenuine", 12) == 0;
	}
	return false;
}

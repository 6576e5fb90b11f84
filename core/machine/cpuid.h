/* SPDX-License-Identifier: MIT */
/*
 * cpuid.h - what CPUID tells the guest: what KVM supports, with the machine's own topology in it.
 */
#ifndef CAPSA_MACHINE_CPUID_H
#define CAPSA_MACHINE_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "core/base/error.h"

/* What KVM_GET_SUPPORTED_CPUID gives; the caller frees. 0 or -errno with err. */
int cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out, struct error *err);

/* Changes `cpuid` for the vCPU with local APIC identifier apic_id, one of `cpus` in one package. */
void cpuid_set_topology(struct kvm_cpuid2 *cpuid, unsigned apic_id, unsigned cpus);

/* The guest's physical address width in bits (leaf 0x80000008; 36 where it is not said). */
unsigned cpuid_physical_bits(const struct kvm_cpuid2 *cpuid);

/* AMD, or Hygon, which builds on it. */
bool cpuid_vendor_is_amd(const struct kvm_cpuid2 *cpuid);

#endif

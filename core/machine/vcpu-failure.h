/* SPDX-License-Identifier: MIT */
/*
 * vcpu-failure.h - words for a vCPU that KVM cannot run any further: reason, RIP, instruction
 * bytes, and where to look.
 */
#ifndef CAPSA_MACHINE_VCPU_FAILURE_H
#define CAPSA_MACHINE_VCPU_FAILURE_H

#include <linux/kvm.h>
#include <stddef.h>

#include "core/machine/memory.h"

/* Fills `text` with one line. On the vCPU's thread, after KVM_RUN returned with `run`. */
void vcpu_failure_text(int vcpu_fd, const struct kvm_run *run, const struct memory *memory, unsigned index, char *text,
                       size_t len);

#endif

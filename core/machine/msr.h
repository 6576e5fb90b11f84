/* SPDX-License-Identifier: MIT */
/* msr.h - model-specific registers that a vCPU starts with; Linux exports no header for them (Intel SDM vol. 4, 2). */
#ifndef CAPSA_MACHINE_MSR_H
#define CAPSA_MACHINE_MSR_H

#define MSR_IA32_MISC_ENABLE 0x1a0u
#define MSR_IA32_MISC_ENABLE_FAST_STRING 1u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MSR_MTRR_DEF_TYPE_ENABLE (1u << 11)
#define MSR_MTRR_DEF_TYPE_WRITE_BACK 6u

/* Bits of EFER, as kvm_sregs.efer takes them. */
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#endif

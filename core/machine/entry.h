/* SPDX-License-Identifier: MIT */
/* entry.h - where and how the boot processor enters the guest: filled by core/boot, taken by machine_commit(). */
#ifndef CAPSA_MACHINE_ENTRY_H
#define CAPSA_MACHINE_ENTRY_H

#include <stdint.h>

/* State of the boot processor; others wait for SIPI. Flat 64-bit, paging on, interrupts off. */
struct boot_entry {
	uint64_t rip, rsi, rsp;
	uint64_t cr3;      /* identity-mapped page tables that boot_load wrote */
	uint64_t gdt_base; /* GDT that boot_load wrote: selector 0x10 = 64-bit code, 0x18 = data */
	uint16_t gdt_limit;
};

#endif

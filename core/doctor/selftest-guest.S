/* SPDX-License-Identifier: MIT */
/*
 * selftest-guest.S - what the doctor's guest runs, in 64-bit mode at SELFTEST_CODE. Before each step it writes the
 * step's number (enum selftest_step) to port 0x10, so that the host knows which instruction a broken KVM stumbled over.
 */
	.section .rodata
	.globl selftest_guest, selftest_guest_int3, selftest_guest_end
	.hidden selftest_guest, selftest_guest_int3, selftest_guest_end
	.balign 16

.macro step number
	movb $\number, %al
	outb %al, $0x10
.endm

selftest_guest:
	step 1
	movl $0x40000000, %eax		/* the marker that the host set */
	cpuid
	cmpl $0x4000ca95, %eax
	jne failed

	step 2
	movq $0xf0f0, %rbx
	popcntq %rbx, %rcx
	cmpq $8, %rcx
	jne failed

	step 3
	xorl %r15d, %r15d
	int3				/* the handler counts in %r15 */
	cmpl $1, %r15d
	jne failed

	step 4
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	btl $20, %ebx			/* SMAP */
	jnc 1f
	stac
	clac
1:
	step 5
	xorl %eax, %eax
	xorl %edx, %edx
	movl $1, %ebx
	xorl %ecx, %ecx
	lock cmpxchg16b 0x600
	jne failed
	cmpq $1, 0x600
	jne failed

	step 6
	movl $1, %eax
	cpuid
	btl $26, %ecx			/* XSAVE */
	jnc 2f
	movq %cr4, %rax
	btsq $18, %rax			/* OSXSAVE */
	movq %rax, %cr4
	xorl %ecx, %ecx
	xgetbv
	movl $3, %eax
	xorl %edx, %edx
	xsave 0x10000
	xrstor 0x10000
2:
	step 7
	movl $200000, %ecx
3:
	decl %ecx
	jnz 3b

	step 8
4:
	hlt
	jmp 4b

failed:
	step 9
	jmp 4b

selftest_guest_int3:
	incl %r15d
	iretq
selftest_guest_end:

	.section .note.GNU-stack, "", @progbits

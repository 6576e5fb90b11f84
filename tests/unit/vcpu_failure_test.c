/* SPDX-License-Identifier: MIT */
/* vcpu_failure_test.c - the words for a vCPU that KVM gave up on. ioctl(2) is ours: no KVM is needed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "core/machine/vcpu-failure.h"

#define RIP 0xffffffff81002ffaull
#define RIP_AT 0x2ffaull /* where the guest's page tables put it: 6 bytes before the end of a page */
#define TAIL "; `capsa doctor` tells whether this KVM works"

static uint8_t ram[0x4000];
static const struct memory memory = { .ranges = { { .start = 0, .size = sizeof ram, .host = ram } },
	                              .n_ranges = 1,
	                              .size = sizeof ram,
	                              .fd = -1 };
static uint64_t translated_to; /* 0: not mapped */

int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	(void)fd;
	if (request == KVM_GET_REGS) {
		*(struct kvm_regs *)argument = (struct kvm_regs){ .rip = RIP };
		return 0;
	}
	if (request == KVM_TRANSLATE) {
		struct kvm_translation *at = argument;

		assert_true(at->linear_address == RIP);
		at->valid = translated_to != 0;
		at->physical_address = translated_to;
		return 0;
	}
	errno = EINVAL;
	return -1;
}

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ram; i++)
		ram[i] = (uint8_t)i;
	translated_to = RIP_AT;
	return 0;
}

static void expect(const struct kvm_run *run, unsigned index, const char *expected)
{
	char text[400];

	vcpu_failure_text(7, run, &memory, index, text, sizeof text);
	assert_string_equal(text, expected);
}

static void the_bytes_that_kvm_hands_out_are_told(void **state)
{
	struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };

	(void)state;
	run.emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run.emulation_failure.ndata = 3;
	run.emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run.emulation_failure.insn_size = 3;
	memcpy(run.emulation_failure.insn_bytes, "\xf3\x0f\xb8", 3);
	expect(&run, 1,
	       "KVM internal error, suberror 1 (emulation failure) on vCPU 1 at RIP 0xffffffff81002ffa, instruction "
	       "bytes f3 0f b8" TAIL);
	/* More than the field has room for. */
	run.emulation_failure.insn_size = 255;
	memset(run.emulation_failure.insn_bytes, 0x90, 15);
	expect(&run, 0,
	       "KVM internal error, suberror 1 (emulation failure) on vCPU 0 at RIP 0xffffffff81002ffa, instruction "
	       "bytes 90 90 90 90 90 90 90 90 90 90 90 90 90 90 90" TAIL);
}

static void other_bytes_are_read_up_to_the_end_of_their_page(void **state)
{
	struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };

	(void)state;
	run.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	expect(&run, 0,
	       "KVM internal error, suberror 3 (an event could not be delivered) on vCPU 0 at RIP "
	       "0xffffffff81002ffa, instruction bytes fa fb fc fd fe ff" TAIL);
	run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run.emulation_failure.ndata = 2; /* an older kernel: no bytes */
	expect(&run, 0,
	       "KVM internal error, suberror 1 (emulation failure) on vCPU 0 at RIP 0xffffffff81002ffa, instruction "
	       "bytes fa fb fc fd fe ff" TAIL);
}

static void bytes_that_cannot_be_read_are_said_so(void **state)
{
	struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };

	(void)state;
	run.internal.suberror = 77;
	translated_to = 0;
	expect(&run, 0,
	       "KVM internal error, suberror 77 (unknown suberror) on vCPU 0 at RIP 0xffffffff81002ffa, instruction "
	       "bytes unreadable" TAIL);
	translated_to = 0x7fffff000; /* no RAM there */
	expect(&run, 0,
	       "KVM internal error, suberror 77 (unknown suberror) on vCPU 0 at RIP 0xffffffff81002ffa, instruction "
	       "bytes unreadable" TAIL);
}

static void other_failures_have_their_own_words(void **state)
{
	struct kvm_run run = { .exit_reason = KVM_EXIT_FAIL_ENTRY };

	(void)state;
	run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	expect(&run, 3,
	       "KVM could not enter the guest, hardware reason 0x80000021 on vCPU 3 at RIP 0xffffffff81002ffa, "
	       "instruction bytes fa fb fc fd fe ff" TAIL);
	run.exit_reason = 99;
	expect(&run, 3,
	       "KVM exit reason 99, which nothing here handles on vCPU 3 at RIP 0xffffffff81002ffa, instruction bytes "
	       "fa fb fc fd fe ff" TAIL);
}

static void a_short_buffer_is_kept(void **state)
{
	struct kvm_run run = { .exit_reason = KVM_EXIT_INTERNAL_ERROR };
	char text[24];

	(void)state;
	memset(text, 'x', sizeof text);
	vcpu_failure_text(7, &run, &memory, 0, text, 20);
	assert_string_equal(text, "KVM internal error,");
	assert_int_equal(text[20], 'x');
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_bytes_that_kvm_hands_out_are_told),
		TEST(other_bytes_are_read_up_to_the_end_of_their_page),
		TEST(bytes_that_cannot_be_read_are_said_so),
		TEST(other_failures_have_their_own_words),
		TEST(a_short_buffer_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

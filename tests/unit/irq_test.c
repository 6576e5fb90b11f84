/* SPDX-License-Identifier: MIT */
/*
 * irq_test.c - what KVM is told about interrupts, and when; that none is lost behind a mask.
 *
 * ioctl(2) is wrapped: calls on the descriptor FAKE_VM are written down. Where this host has a KVM, the last tests look
 * at the interrupts in a real local APIC.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/machine/irq.h"

#define FAKE_VM 1000000
#define MSI_ADDRESS 0xfee00000u

enum call { ROUTE, ATTACH, DETACH };

static struct kvm_calls {
	enum call calls[64];
	unsigned n;
	struct kvm_irqfd irqfd;                  /* the last one */
	struct kvm_irq_routing_entry routes[64]; /* the last table */
	unsigned n_routes;
	int fail; /* errno of the next call */
} kvm;

int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	const struct kvm_irq_routing *table = argument;

	if (fd != FAKE_VM)
		return __real_ioctl(fd, request, argument);
	if (kvm.fail != 0) {
		errno = kvm.fail;
		kvm.fail = 0;
		return -1;
	}
	assert_true(kvm.n < 64);
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		assert_true(table->nr <= 64 && table->flags == 0);
		kvm.n_routes = table->nr;
		memcpy(kvm.routes, table->entries, table->nr * sizeof table->entries[0]);
		kvm.calls[kvm.n++] = ROUTE;
		return 0;
	case KVM_IRQFD:
		memcpy(&kvm.irqfd, argument, sizeof kvm.irqfd);
		kvm.calls[kvm.n++] = (kvm.irqfd.flags & KVM_IRQFD_FLAG_DEASSIGN) != 0 ? DETACH : ATTACH;
		return 0;
	default:
		fail_msg("unexpected ioctl 0x%lx", request);
		return -1;
	}
}

static int make_router(void **state)
{
	struct irq_router *router;
	struct error err = { "" };

	memset(&kvm, 0, sizeof kvm);
	assert_int_equal(irq_router_create(FAKE_VM, &router, &err), 0);
	*state = router;
	return 0;
}

static int make_router_without_kvm(void **state)
{
	struct irq_router *router;
	struct error err = { "" };

	assert_int_equal(irq_router_create(-1, &router, &err), 0);
	*state = router;
	return 0;
}

static int free_router(void **state)
{
	irq_router_destroy(*state);
	return 0;
}

static struct irq_msi *add(struct irq_router *router)
{
	struct irq_msi *msi;

	assert_int_equal(irq_msi_add(router, &msi), 0);
	return msi;
}

static bool readable(int fd)
{
	eventfd_t count;

	return eventfd_read(fd, &count) == 0 && count > 0;
}

static void programming_a_masked_source_costs_no_call(void **state)
{
	struct irq_msi *msi = add(*state);

	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x41, true);
	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x42, true);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 0);
}

static void unmasking_routes_first_and_attaches_then(void **state)
{
	struct irq_msi *other = add(*state), *msi = add(*state);

	irq_msi_set(msi, 0x1200fee01000, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 2);
	assert_int_equal(kvm.calls[0], ROUTE);
	assert_int_equal(kvm.calls[1], ATTACH);
	assert_int_equal(kvm.irqfd.gsi, IRQ_PINS + 1);
	assert_int_equal(kvm.irqfd.fd, irq_msi_fd(msi));
	assert_int_equal(kvm.n_routes, IRQ_PINS + 1);
	for (unsigned pin = 0; pin < IRQ_PINS; pin++) {
		assert_int_equal(kvm.routes[pin].gsi, pin);
		assert_int_equal(kvm.routes[pin].type, KVM_IRQ_ROUTING_IRQCHIP);
		assert_int_equal(kvm.routes[pin].u.irqchip.irqchip, KVM_IRQCHIP_IOAPIC);
		assert_int_equal(kvm.routes[pin].u.irqchip.pin, pin);
	}
	assert_int_equal(kvm.routes[IRQ_PINS].gsi, IRQ_PINS + 1);
	assert_int_equal(kvm.routes[IRQ_PINS].type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(kvm.routes[IRQ_PINS].u.msi.address_lo, 0xfee01000);
	assert_int_equal(kvm.routes[IRQ_PINS].u.msi.address_hi, 0x1200);
	assert_int_equal(kvm.routes[IRQ_PINS].u.msi.data, 0x41);
	irq_msi_set(other, MSI_ADDRESS, 0x42, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n_routes, IRQ_PINS + 2);
	assert_int_equal(kvm.routes[IRQ_PINS + 1].gsi, IRQ_PINS);
}

static void many_changes_are_one_table(void **state)
{
	struct irq_msi *msis[30];

	for (unsigned i = 0; i < 30; i++) {
		msis[i] = add(*state);
		irq_msi_set(msis[i], MSI_ADDRESS, 0x30 + i, false);
	}
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 31);
	assert_int_equal(kvm.calls[0], ROUTE);
	assert_int_equal(kvm.calls[1], ATTACH);
	assert_int_equal(kvm.n_routes, IRQ_PINS + 30);
}

static void the_same_again_costs_no_call(void **state)
{
	struct irq_msi *msi = add(*state);

	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	kvm.n = 0;
	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x41, true);
	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 0);
}

static void a_new_vector_while_unmasked_only_routes(void **state)
{
	struct irq_msi *msi = add(*state);

	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x42, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 3);
	assert_int_equal(kvm.calls[2], ROUTE);
	assert_int_equal(kvm.n_routes, IRQ_PINS + 1);
	assert_int_equal(kvm.routes[IRQ_PINS].u.msi.data, 0x42);
}

static void mask_and_unmask_only_detach_and_attach(void **state)
{
	struct irq_msi *msi = add(*state);

	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x41, true);
	assert_int_equal(irq_commit(*state), 0);
	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 4);
	assert_int_equal(kvm.calls[2], DETACH);
	assert_int_equal(kvm.calls[3], ATTACH);
}

static void an_address_that_is_no_msi_never_reaches_kvm(void **state)
{
	static const uint64_t addresses[] = { 0, 0x1000, 0xfed00000, 0xfef00000, 0x01fee00000, 0xfffffffffee00000 };
	struct irq_msi *msi = add(*state);

	for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
		irq_msi_set(msi, addresses[i], 0x41, false);
		assert_int_equal(irq_commit(*state), 0);
		assert_int_equal(kvm.n, 0);
	}
	irq_msi_signal(msi);
	assert_true(irq_msi_pending(msi));
	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 2);
	irq_msi_set(msi, 0, 0x41, false);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.calls[2], DETACH);
}

static void what_kvm_refuses_is_tried_again(void **state)
{
	struct irq_msi *msi = add(*state);

	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	kvm.fail = ENOMEM;
	assert_int_equal(irq_commit(*state), -ENOMEM);
	irq_msi_signal(msi);
	assert_true(irq_msi_pending(msi));
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 2);
	assert_false(irq_msi_pending(msi));
	irq_msi_set(msi, MSI_ADDRESS, 0x41, true);
	kvm.fail = EBUSY;
	assert_int_equal(irq_commit(*state), -EBUSY);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.calls[2], DETACH);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 3);
}

static void a_line_is_attached_by_the_next_commit_once(void **state)
{
	struct error err = { "" };
	int fd, again;

	assert_int_equal(irq_line(*state, 4, &fd, &err), 0);
	assert_int_equal(irq_line(*state, 4, &again, &err), 0);
	assert_int_equal(fd, again);
	assert_int_equal(kvm.n, 0);
	kvm.fail = EAGAIN;
	assert_int_equal(irq_commit(*state), -EAGAIN);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(irq_commit(*state), 0);
	assert_int_equal(kvm.n, 1);
	assert_int_equal(kvm.calls[0], ATTACH);
	assert_int_equal(kvm.irqfd.gsi, 4);
	assert_int_equal(kvm.irqfd.fd, fd);
	assert_int_equal(irq_line(*state, 23, &fd, &err), 0);
	assert_int_equal(irq_line(*state, IRQ_PINS, &fd, &err), -EINVAL);
	assert_true(err.text[0] != '\0');
}

static void a_masked_interrupt_waits_and_is_there_after_unmasking(void **state)
{
	struct irq_msi *msi = add(*state);

	assert_false(irq_msi_pending(msi));
	irq_msi_signal(msi);
	assert_true(irq_msi_pending(msi));
	irq_msi_set(msi, MSI_ADDRESS, 0x41, false);
	assert_true(irq_msi_pending(msi));
	assert_int_equal(irq_commit(*state), 0);
	assert_false(irq_msi_pending(msi));
	assert_true(readable(irq_msi_fd(msi)));
	irq_msi_signal(msi);
	assert_false(irq_msi_pending(msi));
	assert_true(readable(irq_msi_fd(msi)));
}

static void clearing_drops_what_is_pending(void **state)
{
	struct irq_msi *msi = add(*state);

	irq_msi_signal(msi);
	irq_msi_signal(msi);
	irq_msi_clear(msi);
	assert_false(irq_msi_pending(msi));
	irq_msi_clear(msi);
	assert_false(readable(irq_msi_fd(msi)));
}

static void sources_end_with_an_error_not_a_crash(void **state)
{
	struct irq_msi *msi;
	unsigned n = 0;
	int ret;

	while ((ret = irq_msi_add(*state, &msi)) == 0)
		n++;
	assert_true(ret == -ENOSPC ? n == IRQ_MAX_MSI : ret == -EMFILE);
	assert_true(n > 100);
}

/* -- a real KVM -- */

struct real {
	int kvm_fd, vm_fd, vcpu_fd;
	struct irq_router *router;
};

static int free_real(void **state)
{
	struct real *real = *state;

	irq_router_destroy(real->router);
	if (real->vcpu_fd >= 0)
		close(real->vcpu_fd);
	if (real->vm_fd >= 0)
		close(real->vm_fd);
	if (real->kvm_fd >= 0)
		close(real->kvm_fd);
	free(real);
	return 0;
}

/* The router is older than the irqchip, as in a machine. False: no KVM here. */
static bool make_real(struct real *real)
{
	struct error err = { "" };

	real->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (real->kvm_fd < 0)
		return false;
	real->vm_fd = ioctl(real->kvm_fd, KVM_CREATE_VM, NULL);
	if (real->vm_fd < 0)
		return false;
	assert_int_equal(irq_router_create(real->vm_fd, &real->router, &err), 0);
	return true;
}

/* An irqchip and a vCPU whose local APIC is switched on. */
static bool start_real(struct real *real)
{
	struct kvm_lapic_state lapic;

	if (ioctl(real->vm_fd, KVM_CREATE_IRQCHIP, NULL) < 0)
		return false;
	real->vcpu_fd = ioctl(real->vm_fd, KVM_CREATE_VCPU, NULL);
	if (real->vcpu_fd < 0 || ioctl(real->vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return false;
	lapic.regs[0xf1] = 1; /* spurious interrupt vector register, bit 8: software enable */
	return ioctl(real->vcpu_fd, KVM_SET_LAPIC, &lapic) == 0;
}

static int setup_real(void **state)
{
	struct real *real = calloc(1, sizeof *real);

	assert_non_null(real);
	real->kvm_fd = real->vm_fd = real->vcpu_fd = -1;
	*state = real;
	return 0;
}

static bool requested(const struct real *real, unsigned vector)
{
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl(real->vcpu_fd, KVM_GET_LAPIC, &lapic), 0);
	return (lapic.regs[0x200 + vector / 32 * 16 + vector % 32 / 8] >> vector % 8 & 1) != 0;
}

/* Masking waits in KVM for injections under way. */
static void program(struct real *real, struct irq_msi *msi, unsigned vector, bool masked)
{
	irq_msi_set(msi, MSI_ADDRESS, vector, masked);
	assert_int_equal(irq_commit(real->router), 0);
}

static void kvm_injects_an_msi_and_what_waited_behind_its_mask(void **state)
{
	struct real *real = *state;
	struct irq_msi *msi;

	if (!make_real(real) || !start_real(real))
		skip();
	msi = add(real->router);
	program(real, msi, 0x41, false);
	irq_msi_signal(msi);
	program(real, msi, 0x41, true);
	assert_true(requested(real, 0x41));
	assert_false(irq_msi_pending(msi));
	irq_msi_signal(msi);
	assert_true(irq_msi_pending(msi));
	program(real, msi, 0x52, true);
	assert_false(requested(real, 0x52));
	program(real, msi, 0x52, false);
	program(real, msi, 0x52, true);
	assert_true(requested(real, 0x52));
	assert_false(irq_msi_pending(msi));
}

static void kvm_pulses_a_line_that_was_asked_for_before_the_irqchip(void **state)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct real *real = *state;
	struct kvm_irqfd irqfd = { .gsi = 5, .flags = KVM_IRQFD_FLAG_DEASSIGN };
	struct error err = { "" };
	struct irq_msi *msi;
	int line;

	if (!make_real(real))
		skip();
	assert_int_equal(irq_line(real->router, 5, &line, &err), 0);
	if (!start_real(real))
		skip();
	/* With a table of our own, not KVM's default one. */
	msi = add(real->router);
	program(real, msi, 0x41, false);
	assert_int_equal(ioctl(real->vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.ioapic.redirtbl[5].bits = 0x61; /* fixed, edge, to APIC 0 */
	assert_int_equal(ioctl(real->vm_fd, KVM_SET_IRQCHIP, &chip), 0);
	assert_int_equal(eventfd_write(line, 1), 0);
	irqfd.fd = (uint32_t)line;
	assert_int_equal(ioctl(real->vm_fd, KVM_IRQFD, &irqfd), 0);
	assert_true(requested(real, 0x61));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_router, free_router)
#define TEST_WITHOUT_KVM(name) cmocka_unit_test_setup_teardown(name, make_router_without_kvm, free_router)
#define TEST_REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, free_real)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(programming_a_masked_source_costs_no_call),
		TEST(unmasking_routes_first_and_attaches_then),
		TEST(many_changes_are_one_table),
		TEST(the_same_again_costs_no_call),
		TEST(a_new_vector_while_unmasked_only_routes),
		TEST(mask_and_unmask_only_detach_and_attach),
		TEST(an_address_that_is_no_msi_never_reaches_kvm),
		TEST(what_kvm_refuses_is_tried_again),
		TEST(a_line_is_attached_by_the_next_commit_once),
		TEST_WITHOUT_KVM(a_masked_interrupt_waits_and_is_there_after_unmasking),
		TEST_WITHOUT_KVM(clearing_drops_what_is_pending),
		TEST_WITHOUT_KVM(sources_end_with_an_error_not_a_crash),
		TEST_REAL(kvm_injects_an_msi_and_what_waited_behind_its_mask),
		TEST_REAL(kvm_pulses_a_line_that_was_asked_for_before_the_irqchip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* msix_test.c - the MSI-X table as a guest programs it, masks, pending bits; a hostile guest. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/machine/msix.h"

#define VECTORS 70u
#define BAR 1u
#define TABLE 0x1000u
#define PBA 0x2000u
#define CONFIG (PCI_ECAM_START + 0x8000)
#define CAPABILITY (CONFIG + 0x40)
#define MSI_ADDRESS 0xfee00000u

struct fixture {
	struct bus *ports, *mmio;
	struct pci_bus *pci;
	struct pci_function *function;
	struct irq_router *router;
	struct msix *msix;
};

static void config_written(void *ctx, unsigned offset, unsigned len)
{
	struct fixture *f = ctx;

	if (f->msix != NULL)
		msix_config_written(f->msix, offset, len);
}

static int make_function(void **state)
{
	static const struct pci_identity identity = { .vendor = 0x1af4, .device = 0x1041 };
	static const struct pci_bar bars[PCI_MAX_BARS];
	struct fixture *f = test_calloc(1, sizeof *f);
	struct pci_callbacks callbacks = { .config_written = config_written, .ctx = f };
	struct error err = { "" };

	assert_int_equal(bus_create(&f->ports), 0);
	assert_int_equal(bus_create(&f->mmio), 0);
	assert_int_equal(pci_bus_create(f->ports, f->mmio, 1ull << 36, 1ull << 36, &f->pci, &err), 0);
	assert_int_equal(bus_add(f->mmio, PCI_ECAM_START, PCI_ECAM_SIZE, &pci_ecam_handler, f->pci), 0);
	assert_int_equal(irq_router_create(-1, &f->router, &err), 0);
	assert_int_equal(pci_function_add(f->pci, &identity, bars, &callbacks, &f->function, &err), 0);
	*state = f;
	return 0;
}

static int make_msix(void **state)
{
	struct error err = { "" };
	struct fixture *f;

	make_function(state);
	f = *state;
	assert_int_equal(msix_create(f->router, f->function, VECTORS, BAR, TABLE, PBA, &f->msix, &err), 0);
	return 0;
}

static int free_msix(void **state)
{
	struct fixture *f = *state;

	msix_destroy(f->msix);
	pci_bus_destroy(f->pci);
	irq_router_destroy(f->router);
	bus_destroy(f->mmio);
	bus_destroy(f->ports);
	test_free(f);
	return 0;
}

static void control(struct fixture *f, uint16_t value)
{
	assert_true(bus_write(f->mmio, CAPABILITY + PCI_MSIX_FLAGS, 2, value));
}

static void program(struct fixture *f, unsigned vector, uint32_t data, bool masked)
{
	msix_table_write(f->msix, vector * 16, 8, MSI_ADDRESS);
	msix_table_write(f->msix, vector * 16 + 8, 4, data);
	msix_table_write(f->msix, vector * 16 + 12, 4, masked);
}

static bool pending(struct fixture *f, unsigned vector)
{
	return (msix_pba_read(f->msix, vector / 64 * 8, 8) >> vector % 64 & 1) != 0;
}

static void the_capability_describes_the_table(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	assert_true(bus_read(f->mmio, CAPABILITY, 8, &value));
	assert_int_equal(value, (uint64_t)(TABLE | BAR) << 32 | (VECTORS - 1) << 16 | PCI_CAP_ID_MSIX);
	assert_true(bus_read(f->mmio, CAPABILITY + 8, 4, &value));
	assert_int_equal(value, PBA | BAR);
	assert_int_equal(msix_vectors(f->msix), VECTORS);
}

static void only_enable_and_function_mask_are_writable(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	for (unsigned i = 0; i < 12; i += 4)
		assert_true(bus_write(f->mmio, CAPABILITY + i, 4, 0xffffffff));
	assert_true(bus_read(f->mmio, CAPABILITY, 8, &value));
	assert_int_equal(value, (uint64_t)(TABLE | BAR) << 32 | 0xc000u << 16 | (VECTORS - 1) << 16 | PCI_CAP_ID_MSIX);
	assert_true(bus_read(f->mmio, CAPABILITY + 8, 4, &value));
	assert_int_equal(value, PBA | BAR);
}

static void entries_are_masked_at_power_on(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < VECTORS; i++) {
		assert_int_equal(msix_table_read(f->msix, i * 16, 8), 0);
		assert_int_equal(msix_table_read(f->msix, i * 16 + 8, 8), 1ull << 32);
	}
}

static void the_table_reads_back_what_was_written(void **state)
{
	struct fixture *f = *state;

	msix_table_write(f->msix, 16, 8, 0x1234567889abcdef);
	msix_table_write(f->msix, 24, 8, 0xffffffff55667788);
	assert_int_equal(msix_table_read(f->msix, 16, 8), 0x1234567889abcdec);
	assert_int_equal(msix_table_read(f->msix, 20, 4), 0x12345678);
	assert_int_equal(msix_table_read(f->msix, 24, 4), 0x55667788);
	assert_int_equal(msix_table_read(f->msix, 28, 4), 1);
	assert_int_equal(msix_table_read(f->msix, 0, 8), 0);
	assert_int_equal(msix_table_read(f->msix, 32, 8), 0);
}

static void odd_accesses_read_0_and_write_nothing(void **state)
{
	struct fixture *f = *state;

	msix_table_write(f->msix, 0, 1, 0xff);
	msix_table_write(f->msix, 0, 2, 0xffff);
	msix_table_write(f->msix, 2, 4, 0xffffffff);
	msix_table_write(f->msix, 4, 8, UINT64_MAX);
	msix_table_write(f->msix, 0, 16, UINT64_MAX);
	assert_int_equal(msix_table_read(f->msix, 0, 8), 0);
	assert_int_equal(msix_table_read(f->msix, 8, 8), 1ull << 32);
	msix_table_write(f->msix, VECTORS * 16, 8, UINT64_MAX);
	msix_table_write(f->msix, UINT64_MAX - 7, 8, UINT64_MAX);
	assert_int_equal(msix_table_read(f->msix, VECTORS * 16, 4), 0);
	assert_int_equal(msix_table_read(f->msix, 12, 1), 0);
	assert_int_equal(msix_table_read(f->msix, UINT64_MAX - 3, 4), 0);
	assert_int_equal(msix_pba_read(f->msix, UINT64_MAX - 7, 8), 0);
	assert_int_equal(msix_pba_read(f->msix, 1ull << 61, 8), 0);
	assert_int_equal(msix_pba_read(f->msix, 0, 3), 0);
}

static void each_of_the_three_masks_holds_an_interrupt_back(void **state)
{
	struct fixture *f = *state;

	/* Off. */
	program(f, 3, 0x41, false);
	msix_signal(f->msix, 3);
	assert_true(pending(f, 3));
	/* The function mask. */
	control(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_true(pending(f, 3));
	control(f, PCI_MSIX_FLAGS_ENABLE);
	assert_false(pending(f, 3));
	/* Its own. */
	program(f, 69, 0x42, true);
	msix_signal(f->msix, 69);
	assert_true(pending(f, 69));
	assert_false(pending(f, 68));
	program(f, 69, 0x42, false);
	assert_false(pending(f, 69));
	control(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	msix_signal(f->msix, 69);
	assert_true(pending(f, 69));
	control(f, 0);
	assert_true(pending(f, 69));
}

static void the_pending_array_reads_by_4_and_8(void **state)
{
	struct fixture *f = *state;

	msix_signal(f->msix, 0);
	msix_signal(f->msix, 33);
	msix_signal(f->msix, 63);
	msix_signal(f->msix, 64);
	assert_int_equal(msix_pba_read(f->msix, 0, 8), 0x8000000200000001);
	assert_int_equal(msix_pba_read(f->msix, 0, 4), 1);
	assert_int_equal(msix_pba_read(f->msix, 4, 4), 0x80000002);
	assert_int_equal(msix_pba_read(f->msix, 8, 8), 1);
	assert_int_equal(msix_pba_read(f->msix, 12, 4), 0);
	assert_int_equal(msix_pba_read(f->msix, 16, 8), 0);
}

static void the_control_word_is_seen_in_a_write_of_any_shape(void **state)
{
	struct fixture *f = *state;

	program(f, 0, 0x41, false);
	msix_signal(f->msix, 0);
	assert_true(bus_write(f->mmio, CAPABILITY + PCI_MSIX_FLAGS + 1, 1, PCI_MSIX_FLAGS_ENABLE >> 8));
	assert_false(pending(f, 0));
	assert_true(bus_write(f->mmio, CAPABILITY - 4, 8, 0));
	msix_signal(f->msix, 0);
	assert_true(pending(f, 0));
	assert_true(bus_write(f->mmio, CAPABILITY, 4, (uint32_t)PCI_MSIX_FLAGS_ENABLE << 16));
	assert_false(pending(f, 0));
	/* Next to it: no effect. */
	assert_true(bus_write(f->mmio, CAPABILITY + 4, 4, 0));
	assert_false(pending(f, 0));
}

static void vectors_that_are_none_are_not_signalled(void **state)
{
	struct fixture *f = *state;

	msix_signal(f->msix, VECTORS);
	msix_signal(f->msix, MSIX_NO_VECTOR);
	msix_signal(f->msix, UINT32_MAX);
	assert_int_equal(msix_pba_read(f->msix, 0, 8) | msix_pba_read(f->msix, 8, 8), 0);
}

static void impossible_tables_are_refused_with_a_cause(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };

	assert_int_equal(msix_create(f->router, f->function, 0, 0, 0, 0x800, &f->msix, &err), -EINVAL);
	assert_int_equal(msix_create(f->router, f->function, MSIX_MAX_VECTORS + 1, 0, 0, 0x800, &f->msix, &err),
	                 -EINVAL);
	assert_int_equal(msix_create(f->router, f->function, 1, PCI_MAX_BARS, 0, 0x800, &f->msix, &err), -EINVAL);
	assert_int_equal(msix_create(f->router, f->function, 1, 0, 4, 0x800, &f->msix, &err), -EINVAL);
	assert_true(err.text[0] != '\0');
	assert_null(f->msix);
}

static void too_few_descriptors_are_an_error_with_the_remedy(void **state)
{
	struct rlimit before, few;
	struct fixture *f = *state;
	struct error err = { "" };
	int ret;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 40;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	ret = msix_create(f->router, f->function, MSIX_MAX_VECTORS, BAR, TABLE, PBA, &f->msix, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(ret, -EMFILE);
	assert_non_null(strstr(err.text, "ulimit"));
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void a_guest_that_writes_garbage_leaves_working_vectors(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 0x123456789abcdef1;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t bits = next_random(&seed), offset = next_random(&seed);
		unsigned len = 1u << (offset >> 62);

		switch (offset >> 59 & 7) {
		case 0:
			bus_write(f->mmio, PCI_ECAM_START + offset % (PCI_ECAM_SIZE - 7), len, bits);
			break;
		case 1:
			bus_write(f->mmio, CAPABILITY - 8 + offset % 24, len, bits);
			break;
		case 2:
			msix_table_write(f->msix, offset, len, bits);
			break;
		case 3:
			msix_signal(f->msix, (unsigned)(bits % (VECTORS + 2)));
			break;
		case 4:
			msix_table_read(f->msix, offset % 0x1000, len);
			msix_pba_read(f->msix, offset % 0x40, len);
			break;
		case 5:
			/* A plausible address. */
			msix_table_write(f->msix, offset % VECTORS * 16, 8, (bits & 0xfffff) | MSI_ADDRESS);
			break;
		default:
			msix_table_write(f->msix, offset % (VECTORS * 16 + 32) & ~3ull, len == 8 ? 8 : 4, bits);
			break;
		}
	}
	control(f, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned i = 0; i < VECTORS; i++) {
		program(f, i, 0x41, false);
		assert_false(pending(f, i));
		program(f, i, 0x41, true);
		msix_signal(f->msix, i);
		assert_true(pending(f, i));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_msix, free_msix)
#define TEST_OF_CREATION(name) cmocka_unit_test_setup_teardown(name, make_function, free_msix)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_capability_describes_the_table),
		TEST(only_enable_and_function_mask_are_writable),
		TEST(entries_are_masked_at_power_on),
		TEST(the_table_reads_back_what_was_written),
		TEST(odd_accesses_read_0_and_write_nothing),
		TEST(each_of_the_three_masks_holds_an_interrupt_back),
		TEST(the_pending_array_reads_by_4_and_8),
		TEST(the_control_word_is_seen_in_a_write_of_any_shape),
		TEST(vectors_that_are_none_are_not_signalled),
		TEST_OF_CREATION(impossible_tables_are_refused_with_a_cause),
		TEST_OF_CREATION(too_few_descriptors_are_an_error_with_the_remedy),
		TEST(a_guest_that_writes_garbage_leaves_working_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

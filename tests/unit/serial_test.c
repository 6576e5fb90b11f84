/* SPDX-License-Identifier: MIT */
/* serial_test.c - the 16550 as Linux's 8250 driver uses it, and what becomes of its output where nobody reads. */
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/machine/serial.h"

static struct bus *ports;
static struct serial *serial;
static int irq, out[2];

static int setup(void **state)
{
	(void)state;
	assert_int_equal(bus_create(&ports), 0);
	irq = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(pipe(out), 0);
	assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	return serial_create(ports, irq, out[1], &serial);
}

static int teardown(void **state)
{
	(void)state;
	serial_destroy(serial);
	bus_destroy(ports);
	close(irq);
	close(out[0]);
	close(out[1]);
	return 0;
}

static uint8_t in(unsigned reg)
{
	uint64_t value;

	assert_true(bus_read(ports, SERIAL_PORT + reg, 1, &value));
	return (uint8_t)value;
}

static void outb(unsigned reg, uint8_t value)
{
	assert_true(bus_write(ports, SERIAL_PORT + reg, 1, value));
}

static void say(const char *text)
{
	for (; *text; text++)
		outb(UART_TX, (uint8_t)*text);
}

static void assert_said(const char *text)
{
	char said[1024] = "";
	ssize_t n = read(out[0], said, sizeof said - 1);

	assert_int_equal(n > 0 ? n : 0, strlen(text));
	assert_string_equal(said, text);
}

static uint64_t interrupts(void)
{
	eventfd_t n = 0;

	eventfd_read(irq, &n);
	return n;
}

static void lines_are_written_when_they_end(void **state)
{
	(void)state;
	say("one li");
	assert_said("");
	say("ne\nand");
	assert_said("one line\n");
	say("\n");
	assert_said("and\n");
}

static void a_line_without_end_is_written_in_pieces(void **state)
{
	char piece[257];

	(void)state;
	memset(piece, 'x', 256);
	piece[256] = '\0';
	say(piece);
	assert_said(piece);
}

static void the_last_words_are_written_at_the_end(void **state)
{
	(void)state;
	say("last words");
	serial_destroy(serial);
	assert_said("last words");
	assert_int_equal(serial_create(ports, irq, out[1], &serial), 0);
}

static void the_transmitter_is_always_empty(void **state)
{
	(void)state;
	say("some");
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(in(UART_RX), 0);
}

static void an_interrupt_comes_for_an_empty_transmitter_that_is_asked_for(void **state)
{
	(void)state;
	say("a");
	assert_int_equal(interrupts(), 0);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	outb(UART_IER, UART_IER_THRI);
	assert_int_equal(interrupts(), 1);
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	say("b");
	assert_int_equal(interrupts(), 1);
}

static void registers_hold_what_a_driver_probes_them_with(void **state)
{
	(void)state;
	outb(UART_SCR, 0x5a);
	assert_int_equal(in(UART_SCR), 0x5a);
	outb(UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(UART_LCR), UART_LCR_WLEN8);
	outb(UART_IER, 0xff);
	assert_int_equal(in(UART_IER), 0x0f);
	outb(UART_LCR, UART_LCR_DLAB);
	outb(UART_DLL, 1);
	outb(UART_DLM, 2);
	assert_int_equal(in(UART_DLL), 1);
	assert_int_equal(in(UART_DLM), 2);
	outb(UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(UART_IER), 0x0f);
	assert_said("");
}

static void a_loop_back_stays_inside(void **state)
{
	(void)state;
	outb(UART_MCR, UART_MCR_LOOP);
	say("probe\n");
	outb(UART_MCR, 0);
	say("real\n");
	assert_said("real\n");
}

static void other_widths_are_ignored(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(bus_write(ports, SERIAL_PORT, 2, 0x0a41));
	assert_true(bus_write(ports, SERIAL_PORT, 4, 0x0a41));
	assert_said("");
	bus_read(ports, SERIAL_PORT + UART_LSR, 2, &value);
	assert_int_equal(value, 0xffff);
}

/* The pipe is full: the guest goes on, what it says is lost until there is room again. */
static void a_reader_that_stands_still_does_not_stop_the_guest(void **state)
{
	char bytes[4096] = "";

	(void)state;
	assert_int_equal(fcntl(out[1], F_SETFL, O_NONBLOCK), 0);
	while (write(out[1], bytes, sizeof bytes) > 0)
		;
	assert_int_equal(fcntl(out[1], F_SETFL, 0), 0);
	for (unsigned i = 0; i < 1000; i++)
		say("nobody reads this\n");
	while (read(out[0], bytes, sizeof bytes) > 0)
		;
	say("somebody reads this\n");
	assert_said("somebody reads this\n");
}

static void a_reader_that_left_does_not_stop_the_guest(void **state)
{
	int null = open("/dev/full", O_WRONLY);

	(void)state;
	serial_destroy(serial);
	assert_int_equal(serial_create(ports, irq, null, &serial), 0);
	say("no room for this\n");
	serial_destroy(serial);
	close(null);
	assert_int_equal(serial_create(ports, irq, out[1], &serial), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lines_are_written_when_they_end),
		TEST(a_line_without_end_is_written_in_pieces),
		TEST(the_last_words_are_written_at_the_end),
		TEST(the_transmitter_is_always_empty),
		TEST(an_interrupt_comes_for_an_empty_transmitter_that_is_asked_for),
		TEST(registers_hold_what_a_driver_probes_them_with),
		TEST(a_loop_back_stays_inside),
		TEST(other_widths_are_ignored),
		TEST(a_reader_that_stands_still_does_not_stop_the_guest),
		TEST(a_reader_that_left_does_not_stop_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

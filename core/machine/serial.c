/* SPDX-License-Identifier: MIT */
/*
 * serial.c - see serial.h. Owns the register file. Its handlers run on vCPU threads, one at a
 * time under the lock. A transmitter that is always empty is all that Linux's 8250 driver
 * needs for output: it polls LSR, or takes a THRI interrupt at once.
 */
#include "core/machine/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define READER_WAIT_MS 100

struct serial {
	struct bus *ports;
	pthread_mutex_t lock;
	int irq_fd, out_fd;
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool stuck;         /* who reads stood still when it was last looked */
	bool thr_interrupt; /* the transmitter became empty and the driver has not looked */
	char line[256];
	size_t used;
};

/*
 * Whether a write would not block. A vCPU that blocks in write(2) could not be stopped: so who reads slowly is waited
 * for a moment, who stands still is not waited for again until there is room, and a signal, which wants the
 * vCPU out of here, ends the wait.
 */
static bool has_room(struct serial *s)
{
	struct pollfd waits = { .fd = s->out_fd, .events = POLLOUT };
	bool room = poll(&waits, 1, s->stuck ? 0 : READER_WAIT_MS) == 1;

	s->stuck = !room;
	return room;
}

static void flush(struct serial *s)
{
	size_t done = 0;

	while (done < s->used && has_room(s)) {
		ssize_t n = write(s->out_fd, s->line + done, s->used - done);

		if (n <= 0)
			break; /* nobody reads: these are messages, not data */
		done += (size_t)n;
	}
	s->used = 0;
}

static void transmit(struct serial *s, char c)
{
	s->line[s->used++] = c;
	if (c == '\n' || s->used == sizeof s->line)
		flush(s);
}

static void raise(struct serial *s)
{
	uint64_t one = 1;

	if (!(s->ier & UART_IER_THRI))
		return;
	s->thr_interrupt = true;
	if (write(s->irq_fd, &one, sizeof one) < 0)
		return; /* the counter is full: the interrupt is pending */
}

static uint8_t read_register(struct serial *s, unsigned reg)
{
	bool divisor = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return divisor ? s->dll : 0;
	case UART_IER:
		return divisor ? s->dlm : s->ier;
	case UART_IIR: {
		uint8_t iir = s->thr_interrupt ? UART_IIR_THRI : UART_IIR_NO_INT;

		s->thr_interrupt = false;
		return iir;
	}
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_THRE | UART_LSR_TEMT;
	case UART_MSR:
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	default:
		return s->scr;
	}
}

static void write_register(struct serial *s, unsigned reg, uint8_t value)
{
	bool divisor = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (divisor) {
			s->dll = value;
		} else if (!(s->mcr & UART_MCR_LOOP)) {
			transmit(s, (char)value);
			raise(s);
		}
		break;
	case UART_IER:
		if (divisor) {
			s->dlm = value;
		} else {
			s->ier = value & 0x0f;
			raise(s);
		}
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

static uint64_t serial_read(void *ctx, uint64_t offset, unsigned len)
{
	struct serial *s = ctx;
	uint8_t value;

	if (len != 1)
		return UINT64_MAX;
	pthread_mutex_lock(&s->lock);
	value = read_register(s, (unsigned)offset);
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void serial_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct serial *s = ctx;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	write_register(s, (unsigned)offset, (uint8_t)value);
	pthread_mutex_unlock(&s->lock);
}

static const struct bus_handler serial_handler = { .read = serial_read, .write = serial_write };

int serial_create(struct bus *ports, int irq_fd, int out_fd, struct serial **out)
{
	struct serial *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	s->ports = ports;
	s->irq_fd = irq_fd;
	s->out_fd = out_fd;
	pthread_mutex_init(&s->lock, NULL);
	rc = bus_add(ports, SERIAL_PORT, SERIAL_PORTS, &serial_handler, s);
	if (rc) {
		serial_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	bus_remove(s->ports, SERIAL_PORT);
	flush(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

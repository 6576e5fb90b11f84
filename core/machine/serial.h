/* SPDX-License-Identifier: MIT */
/*
 * serial.h - the transmit half of a 16550 at port 0x3f8, for messages before any driver runs
 * (`serial = true`, `console=ttyS0` or `earlycon`). Each byte is an exit: off by default.
 * What the guest sends goes to a file descriptor, a line at a time; there is no input.
 */
#ifndef CAPSA_MACHINE_SERIAL_H
#define CAPSA_MACHINE_SERIAL_H

#include "core/machine/bus.h"

#define SERIAL_PORT 0x3f8u
#define SERIAL_PORTS 8u
#define SERIAL_IRQ_PIN 4u

struct serial;

/* `irq_fd`: eventfd of its interrupt line (the router's); out_fd stays the caller's. 0 or -ENOMEM. */
int serial_create(struct bus *ports, int irq_fd, int out_fd, struct serial **out);
void serial_destroy(struct serial *serial); /* NULL is fine */

#endif

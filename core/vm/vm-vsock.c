/* SPDX-License-Identifier: MIT */
/*
 * vm-vsock.c - the vsock device of a vm: made once from the configuration, attached to each of its machines. Called by
 * vm-run.c and vm-devices.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/vm/vm-private.h"

int vm_vsock_open(struct vm *vm, struct error *err)
{
	const struct config_vsock *config = vm->config->vsock;
	struct vsock_setup setup = { .reactor = vm->reactor };
	struct vsock_port *ports;
	int rc;

	if (!config)
		return 0;
	ports = calloc(config->n_ports + 1, sizeof *ports);
	if (!ports)
		return error_set(err, ENOMEM, "no memory");
	for (size_t i = 0; i < config->n_ports; i++)
		ports[i] = (struct vsock_port){
			.port = config->ports[i].port,
			.path = config->ports[i].path,
			.mode = config->ports[i].connect ? VSOCK_CONNECT : VSOCK_LISTEN,
			.seqpacket = config->ports[i].seqpacket,
			.held = config->ports[i].held,
		};
	setup.cid = config->cid;
	setup.socket = config->socket;
	setup.ports = ports;
	setup.n_ports = config->n_ports;
	rc = vsock_open(&setup, &vm->vsock, err);
	free(ports);
	/* Without a line it is not the file's but core/sandbox's. */
	return rc && config->place.line
	               ? error_prefix(err, rc, "%s:%u: vsock: ", config->place.file, config->place.line)
	               : rc;
}

void vm_vsock_close(struct vm *vm)
{
	vsock_close(vm->vsock);
	vm->vsock = NULL;
}

int vm_vsock_attach(struct vm *vm, const struct virtio_platform *platform, struct error *err)
{
	return vm->vsock ? vsock_attach(vm->vsock, platform, err) : 0;
}

void vm_vsock_detach(struct vm *vm)
{
	if (vm->vsock)
		vsock_detach(vm->vsock);
}

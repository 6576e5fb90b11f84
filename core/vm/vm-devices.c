/* SPDX-License-Identifier: MIT */
/* vm-devices.c - walks every device of a vm through its life cycle (capsa-plugin.h). Called by vm.c and vm-run.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/page-guard.h"
#include "core/vm/vm-private.h"

/* Puts the entry's place in front; one that no file has (core/sandbox adds some) has no line. */
static int at(const struct config_device *entry, int rc, struct error *err)
{
	return error_prefix_place(err, rc, entry->file, entry->line);
}

static int device_open(struct vm *vm, size_t index, struct error *err)
{
	const struct config_device *entry = &vm->config->devices[index];
	struct vm_device *device = &vm->devices[index];
	const struct capsa_plugin *info;
	int rc;

	rc = plugin_load(entry->plugin, &device->plugin, err);
	if (rc)
		return at(entry, rc, err);
	info = plugin_info(device->plugin);
	rc = keys_apply(vm->config, entry, info->name, info->keys, &device->values, err);
	for (size_t i = 0; !rc && i < index; i++)
		rc = keys_check_unique(&vm->devices[i].values, &device->values, err);
	if (rc)
		return rc;
	rc = plugin_device_create(device->plugin, entry->name, &vm->environment, &device->instance, err);
	if (!rc)
		rc = plugin_device_config(device->instance, device->values.values, device->values.n, err);
	return rc ? at(entry, rc, err) : 0;
}

int vm_devices_open(struct vm *vm, struct error *err)
{
	int rc = 0;

	vm->devices = calloc(vm->config->n_devices + 1, sizeof *vm->devices);
	if (!vm->devices)
		return error_set(err, ENOMEM, "no memory");
	for (size_t i = 0; !rc && i < vm->config->n_devices; i++)
		rc = device_open(vm, i, err);
	return rc;
}

const struct capsa_value *vm_device_value(const struct vm *vm, size_t index, const char *key)
{
	const struct keys_values *values = &vm->devices[index].values;

	for (size_t i = 0; i < values->n; i++)
		if (strcmp(values->keys[i].name, key) == 0)
			return values->values[i].type == CAPSA_TYPE_NONE ? NULL : &values->values[i];
	return NULL;
}

int vm_device_info(struct vm *vm, size_t index, struct arena *arena, struct capsa_value *out, struct error *err)
{
	return plugin_device_info(vm->devices[index].instance, arena, out, err);
}

const struct capsa_value *vm_info_item(const struct capsa_value *group, const char *name, enum capsa_type type)
{
	for (size_t i = 0; i < group->n_items; i++)
		if (strcmp(group->items[i].name, name) == 0 && group->items[i].type == type)
			return &group->items[i];
	return NULL;
}

void vm_devices_close(struct vm *vm)
{
	for (size_t i = vm->devices ? vm->config->n_devices : 0; i-- > 0;) {
		plugin_device_destroy(vm->devices[i].instance);
		keys_free(&vm->devices[i].values);
		plugin_unload(vm->devices[i].plugin);
	}
	free(vm->devices);
	vm->devices = NULL;
}

int vm_devices_start(struct vm *vm, struct error *err)
{
	/* Before any plugin takes that signal. */
	page_guard_install();
	for (size_t i = 0; i < vm->config->n_devices; i++) {
		const struct config_device *entry = &vm->config->devices[i];
		int rc = plugin_device_realize(vm->devices[i].instance, err);

		if (rc)
			return at(entry, rc, err);
	}
	for (size_t i = 0; i < vm->config->n_devices; i++) {
		int rc = plugin_device_start(vm->devices[i].instance, err);

		if (rc)
			return rc;
		vm->devices[i].started = true;
	}
	page_guard_to_front();
	return 0;
}

void vm_devices_stop(struct vm *vm)
{
	page_guard_step_back();
	for (size_t i = vm->config->n_devices; i-- > 0;) {
		if (vm->devices[i].started)
			plugin_device_stop(vm->devices[i].instance);
		vm->devices[i].started = false;
	}
}

static int ioeventfd(void *ctx, uint64_t address, bool is_port, int fd, bool add)
{
	return machine_ioeventfd(ctx, address, is_port, fd, add);
}

static int slot_add(void *ctx, uint64_t gpa, uint64_t size, void *host, unsigned *slot)
{
	return machine_slot_add(ctx, gpa, size, host, false, slot);
}

static int slot_move(void *ctx, unsigned slot, uint64_t gpa)
{
	return machine_slot_move(ctx, slot, gpa);
}

int vm_devices_attach(struct vm *vm, struct error *err)
{
	struct virtio_platform platform = {
		.memory = machine_memory(vm->machine),
		.pci = machine_pci(vm->machine),
		.irq = machine_irq(vm->machine),
		.ioeventfd = ioeventfd,
		.slot_add = slot_add,
		.slot_move = slot_move,
		.ctx = vm->machine,
		.notify_by_port = machine_notify_by_port(vm->machine),
	};

	int rc;

	for (size_t i = 0; i < vm->config->n_devices; i++) {
		rc = plugin_device_attach(vm->devices[i].instance, &platform, err);
		if (rc)
			return rc;
		vm->devices[i].attached = true;
	}
	return vm_vsock_attach(vm, &platform, err);
}

void vm_devices_detach(struct vm *vm)
{
	vm_vsock_detach(vm);
	for (size_t i = vm->config->n_devices; i-- > 0;) {
		if (vm->devices[i].attached)
			plugin_device_detach(vm->devices[i].instance);
		vm->devices[i].attached = false;
	}
}

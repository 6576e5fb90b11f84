/* SPDX-License-Identifier: MIT */
/*
 * machine.c - the checks of doctor_machine(): why a machine would show nothing, or boot slowly. Called by
 * core/cli/verb-doctor.c.
 */
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/boot/boot.h"
#include "core/doctor/doctor-private.h"
#include "core/doctor/initrd-scan.h"
#include "core/vm/vm.h"

#define HUGE_INITRD (64ll << 20) /* bytes: reading and unpacking it takes longer than all the rest */

/* The device of the last console= word: where /dev/console, and with it init, speaks to. Empty: there is none. */
static void last_console(const char *cmdline, char *name, size_t len)
{
	name[0] = '\0';
	for (const char *at = cmdline; (at = strstr(at, "console=")); at += strlen("console="))
		if (at == cmdline || at[-1] == ' ')
			snprintf(name, len, "%.*s", (int)strcspn(at + strlen("console="), " ,"), at + strlen("console="));
}

/* Whether one of the console= words is for hvc0. */
static bool speaks_to_hvc0(const char *cmdline)
{
	static const char word[] = "console=hvc0";

	for (const char *at = cmdline; (at = strstr(at, word)); at += strlen(word))
		if ((at == cmdline || at[-1] == ' ') && strchr(" ,", at[strlen(word)]))
			return true; /* strchr finds the NUL, too */
	return false;
}

/* The device's value of a key, or NULL. */
static const char *value_of(const struct config_device *device, const char *key)
{
	for (size_t i = 0; i < device->n_values; i++)
		if (strcmp(device->values[i].name, key) == 0)
			return device->values[i].string;
	return NULL;
}

/* hvc0: the first console. */
static const struct config_device *find_console(const struct vm *vm, const struct config *config)
{
	for (size_t i = 0; i < config->n_devices; i++)
		if (vm_device_id(vm, i) == VIRTIO_ID_CONSOLE)
			return &config->devices[i];
	return NULL;
}

static void check_console(const struct config *config, const struct vm *vm, struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "console");
	const struct config_device *hvc0 = find_console(vm, config);
	const char *backend = hvc0 ? value_of(hvc0, "backend") : NULL;
	char last[64];

	last_console(vm_cmdline(vm), last, sizeof last);
	if (!hvc0)
		doctor_say(check, DOCTOR_NOTE, "add { plugin = \"console\"; } to devices",
		           config->serial ? "no console device: nothing is shown but on the serial port"
		                          : "no console device: nothing will be shown");
	else if (!speaks_to_hvc0(vm_cmdline(vm)))
		doctor_say(check, DOCTOR_NOTE, "add \"console=hvc0\" to boot.cmdline",
		           "no console=hvc0 on the command line: the kernel's messages go elsewhere");
	else if (strcmp(last, "hvc0") != 0)
		doctor_say(check, DOCTOR_NOTE, "put \"console=hvc0\" behind the other console= in boot.cmdline",
		           "the last console= is %s: init speaks there, only the kernel on hvc0", last);
	else if (backend && strcmp(backend, "file") == 0)
		doctor_say(check, DOCTOR_NOTE, "look there, or set backend = \"stdio\"",
		           "%s is hvc0, and writes to the file %s", hvc0->name, value_of(hvc0, "path"));
	else
		doctor_say(check, DOCTOR_OK, NULL, "%s is hvc0", hvc0->name);
}

/* A driver that the guest needs, and how to see it in a kernel: by its configuration, or by a string of its code. */
static const struct driver {
	const char *name, *option, *text;
} drivers[] = {
#define DRIVER_PCI 0
	{ "virtio_pci", "CONFIG_VIRTIO_PCI", "virtio-pci" },
#define DRIVER_CONSOLE 1
	{ "virtio_console", "CONFIG_VIRTIO_CONSOLE", "virtio_console" },
};

/* A regular file, to be read: what lies beside a kernel may be anything. */
static FILE *open_regular(const char *path)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	struct stat st;
	FILE *file = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		file = fdopen(fd, "r");
	if (fd >= 0 && !file)
		close(fd);
	return file;
}

/* The value of a CONFIG_ line: 'y', 'm', 'n'; '?' where the kernel's configuration is nowhere to be found. */
static char kernel_option(const char *kernel, const char *version, const char *option)
{
	char *folder = path_dirname(kernel), *beside = folder ? path_join(folder, "config") : NULL, release[128] = "";
	char line[256], value = '?';
	FILE *file = NULL;

	if (sscanf(version, "%127s", release) == 1 && !strchr(release, '/')) {
		char *named = folder ? text_format("%s/config-%s", folder, release) : NULL;

		file = open_regular(named);
		free(named);
	}
	if (!file)
		file = open_regular(beside);
	free(beside);
	free(folder);
	if (!file)
		return '?';
	/* Absent means 'n', but only in what is a kernel's configuration at all. */
	while (fgets(line, sizeof line, file)) {
		if (value == '?' && strncmp(line, "CONFIG_", strlen("CONFIG_")) == 0)
			value = 'n';
		if (strncmp(line, option, strlen(option)) == 0 && line[strlen(option)] == '=')
			value = line[strlen(option) + 1];
	}
	fclose(file);
	return value;
}

/* Whether a driver is in the kernel: 'y', 'm' or 'n' as in its configuration, 'M' for "no, perhaps a module", '?'. */
static char where_is(const struct driver *driver, const struct vm *vm, const struct boot_kernel *kernel)
{
	char option = kernel_option(vm_kernel(vm), vm_kernel_version(vm), driver->option);
	int found = option == '?' && kernel ? boot_kernel_contains(kernel, driver->text, strlen(driver->text) + 1) : 0;

	return option != '?' ? option : found > 0 ? 'y' : kernel && !found ? 'M' : '?';
}

static void check_driver(const struct driver *driver, const struct vm *vm, const struct boot_kernel *kernel,
                         const struct initrd_scan *initrd, struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, driver->name);
	char where = where_is(driver, vm, kernel);
	bool loaded = initrd->modules & 1u << (driver - drivers);
	const char *archive = vm_initrd(vm);

	if (where == 'y')
		doctor_say(check, DOCTOR_OK, NULL, "built into the kernel");
	else if (where == 'n')
		doctor_say(check, DOCTOR_FAIL, "use a kernel that has it", "%s lacks %s", vm_kernel(vm), driver->option);
	else if (loaded)
		doctor_say(check, DOCTOR_OK, NULL, "a module, which is in %s", archive);
	else if (where == '?' && (!archive || !initrd->whole))
		doctor_say(check, DOCTOR_NOTE, "put the kernel's configuration beside it, as the file config",
		           "cannot tell whether %s has %s: it is packed, and without its configuration",
		           vm_kernel(vm), driver->option);
	else if (!archive)
		doctor_say(check, DOCTOR_FAIL,
		           "set boot.initrd to one that loads it; packaging/mkinitramfs makes one",
		           "it is not built into the kernel, and there is no initrd to bring it");
	else if (!initrd->whole)
		doctor_say(check, DOCTOR_NOTE, "make sure that it loads the module",
		           "not built into the kernel, and not seen in %s: %s", archive, initrd->why);
	else
		doctor_say(check, where == '?' ? DOCTOR_NOTE : DOCTOR_FAIL,
		           "add it to the initrd; packaging/mkinitramfs makes one with it",
		           "%s, and %s has no such module",
		           where == '?' ? "nobody can tell whether it is in the kernel" : "not built into the kernel",
		           archive);
}

static void check_drivers(const struct config *config, const struct vm *vm, struct doctor_report *report)
{
	static const char *const modules[] = { "virtio_pci", "virtio_console", NULL }; /* as `drivers` */
	struct boot_kernel *kernel = NULL;
	struct initrd_scan initrd = { .whole = true };
	struct error err = { "" };

	/* Unpacked even where the machine does not want it so. */
	if (boot_kernel_open(vm_kernel(vm), false, &kernel, &err))
		kernel = NULL;
	if (kernel && boot_kernel_form(kernel) == BOOT_FORM_BZIMAGE) {
		boot_kernel_close(kernel);
		kernel = NULL;
	}
	if (vm_initrd(vm))
		initrd_scan(vm_initrd(vm), modules, &initrd);
	if (config->n_devices)
		check_driver(&drivers[DRIVER_PCI], vm, kernel, &initrd, report);
	if (find_console(vm, config))
		check_driver(&drivers[DRIVER_CONSOLE], vm, kernel, &initrd, report);
	boot_kernel_close(kernel);
}

static void check_speed(const struct config *config, const struct vm *vm, struct doctor_report *report)
{
	size_t before = report->n;
	struct stat st;

	if (vm_initrd(vm) && stat(vm_initrd(vm), &st) == 0 && st.st_size > HUGE_INITRD)
		doctor_say(doctor_add(report, "initrd"), DOCTOR_SLOW, "packaging/mkinitramfs makes a small one",
		           "it is huge, %lld MiB: to read and unpack it takes longer than all the rest",
		           (long long)st.st_size >> 20);
	if (config->kernel_entry == CONFIG_ENTRY_COMPRESSED)
		doctor_say(doctor_add(report, "kernel_entry"), DOCTOR_SLOW,
		           "leave kernel_entry away, unless KASLR is wanted", "the guest unpacks its kernel itself");
	if (config->serial)
		doctor_say(doctor_add(report, "serial"), DOCTOR_SLOW, "leave serial away",
		           "each character on the serial port is an exit");
	if (report->n == before)
		doctor_say(doctor_add(report, "boot"), DOCTOR_OK, NULL, "nothing in the way of a quick one");
}

static void check_size(const struct config *config, struct doctor_report *report)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE), cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct doctor_check *check = doctor_add(report, "size");
	char have[32], want[32];

	if (pages > 0 && config->memory > (uint64_t)pages * (uint64_t)page)
		doctor_say(check, DOCTOR_NOTE, "lower memory, or end something else",
		           "the machine may use %s of memory, and the host has %s free now",
		           text_format_size(config->memory, want, sizeof want),
		           text_format_size((uint64_t)pages * (uint64_t)page >> 20 << 20, have, sizeof have));
	else if (cpus > 0 && config->cpus > (unsigned long)cpus)
		doctor_say(check, DOCTOR_NOTE, "lower cpus", "%u CPUs, and the host has %ld", config->cpus, cpus);
	else
		doctor_say(check, DOCTOR_OK, NULL, "%u CPU%s, %s of memory", config->cpus, config->cpus == 1 ? "" : "s",
		           text_format_size(config->memory, want, sizeof want));
}

void doctor_machine(const char *file, struct doctor_report *report)
{
	struct error err = { "" };
	struct config *config = NULL;
	struct vm *vm = NULL;

	if (config_read(file, &config, &err) || vm_open(config, NULL, &vm, &err)) {
		doctor_say(doctor_add(report, "configuration"), DOCTOR_FAIL,
		           "correct it: capsa.conf(5) describes every key, `capsa -n -c FILE` checks it again", "%s",
		           err.text);
	} else {
		doctor_say(doctor_add(report, "configuration"), DOCTOR_OK, NULL, "%s", file);
		check_console(config, vm, report);
		check_drivers(config, vm, report);
		check_speed(config, vm, report);
		check_size(config, report);
	}
	vm_close(vm);
	config_free(config);
}

/* SPDX-License-Identifier: MIT */
/* host.c - the checks of doctor_host(). Called by core/cli/verb-doctor.c. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/boot/boot.h"
#include "core/doctor/doctor-private.h"
#include "core/doctor/selftest.h"
#include "core/machine/kvm.h"
#include "core/plugin/loader.h"

struct doctor_check *doctor_add(struct doctor_report *report, const char *name)
{
	/* The last one is used again rather than to write behind the end. */
	size_t at = report->n < DOCTOR_MAX_CHECKS ? report->n++ : DOCTOR_MAX_CHECKS - 1;

	report->checks[at] = (struct doctor_check){ .name = name };
	return &report->checks[at];
}

/* One line, whatever names of files may hold. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void doctor_say(struct doctor_check *check, enum doctor_status status, const char *remedy, const char *fmt, ...)
{
	va_list args;

	check->status = status;
	va_start(args, fmt);
	vsnprintf(check->detail, sizeof check->detail, fmt, args);
	va_end(args);
	snprintf(check->remedy, sizeof check->remedy, "%s", remedy ? remedy : "");
	make_printable(check->detail);
	make_printable(check->remedy);
}

/* Whether the first "flags" line of /proc/cpuinfo has the word. */
static bool cpu_has(const char *flags, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(flags, word); at; at = strstr(at + 1, word))
		if (at[-1] == ' ' && (at[len] == ' ' || at[len] == '\n'))
			return true;
	return false;
}

static void check_cpu(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "CPU");
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[8192] = "";
	const char *kind;

	while (file && fgets(line, sizeof line, file) && strncmp(line, "flags", 5) != 0)
		;
	if (file)
		fclose(file);
	kind = cpu_has(line, "vmx") ? "Intel VT-x (vmx)" : cpu_has(line, "svm") ? "AMD-V (svm)" : NULL;
	if (kind)
		doctor_say(check, DOCTOR_OK, NULL, "%s%s", kind,
		           cpu_has(line, "hypervisor") ? "; this host is a virtual machine itself" : "");
	else
		/* Some KVMs need neither: the self-test decides. */
		doctor_say(check, DOCTOR_NOTE,
		           "switch it on in the firmware, or nested virtualisation in the host's hypervisor",
		           "neither vmx nor svm%s",
		           cpu_has(line, "hypervisor") ? "; this host is a virtual machine itself" : "");
}

static void check_self(struct doctor_report *report, int fd)
{
	struct doctor_check *check = doctor_add(report, "guest self-test");
	struct selftest_result result;

	selftest_run(fd, &result);
	switch (result.verdict) {
	case SELFTEST_USABLE:
		doctor_say(check, DOCTOR_OK, NULL, "%s", result.text);
		break;
	case SELFTEST_SLOW:
		doctor_say(check, DOCTOR_SLOW,
		           "nothing is wrong; expect boots to take seconds where hardware takes a tenth of one",
		           "%s: emulated, or interpreted", result.text);
		break;
	case SELFTEST_BROKEN:
		doctor_say(check, DOCTOR_FAIL,
		           access("/sys/module/kvm_pvm", F_OK) == 0
		                   ? "this KVM is backed by PVM, which cannot run stock kernels: use a host with vmx "
		                     "or svm, or tests/lab"
		                   : "use a host whose KVM runs on vmx or svm",
		           "%s", result.text);
		break;
	}
}

/* Returns whether all that is needed is there. */
static bool check_capabilities(struct doctor_report *report, int fd)
{
	struct doctor_check *check = doctor_add(report, "KVM capabilities");
	char missing[sizeof check->detail] = "";
	size_t n = 0, used = 0;

	for (const struct kvm_need *need = kvm_needs; need->name; need++, n++)
		if (kvm_has(fd, need) < need->at_least && used < sizeof missing)
			used += (size_t)snprintf(missing + used, sizeof missing - used, "%s%s (%s)", used ? ", " : "",
			                         need->name, need->what_for);
	if (used)
		doctor_say(check, DOCTOR_FAIL, "use a host with Linux 4.20 or later", "this KVM lacks %s", missing);
	else
		doctor_say(check, DOCTOR_OK, NULL, "all %zu that are needed", n);
	return !used;
}

static void check_kvm(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "/dev/kvm");
	struct kvm_fault fault;
	int fd;

	if (kvm_device_open(&fd, &fault)) {
		doctor_say(check, DOCTOR_FAIL, fault.remedy, "KVM device /dev/kvm not accessible: %s", fault.cause);
		return;
	}
	doctor_say(check, DOCTOR_OK, NULL, "there, and permitted");
	check = doctor_add(report, "KVM API");
	if (kvm_check_version(fd, &fault)) {
		doctor_say(check, DOCTOR_FAIL, fault.remedy, "%s", fault.cause);
	} else {
		doctor_say(check, DOCTOR_OK, NULL, "version %d", KVM_API_VERSION);
		if (check_capabilities(report, fd))
			check_self(report, fd);
	}
	close(fd);
}

static void check_plugins(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "plugins");
	char **names = plugin_names(), all[400] = "";
	struct plugin *plugin;
	struct error err = { "" };

	for (size_t i = 0; names && names[i]; i++) {
		size_t used = strlen(all);

		snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
	}
	plugin_path_free(names);
	if (plugin_load("console", &plugin, &err)) {
		doctor_say(check, DOCTOR_FAIL, "install capsa, or set CAPSA_PLUGIN_PATH to the folder that has them",
		           "%s", err.text);
		return;
	}
	doctor_say(check, DOCTOR_OK, NULL, "%s; console is %s", all, plugin_file(plugin));
	plugin_unload(plugin);
}

static void check_kernel(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "default kernel");
	struct boot_kernel *kernel = NULL;
	char *path = NULL, *initrd = NULL;
	struct error err = { "" };

	if (boot_default_kernel(&path, &initrd, &err) || boot_kernel_open(path, false, &kernel, &err))
		doctor_say(check, DOCTOR_NOTE, "name one in boot.kernel", "%s", err.text);
	else
		doctor_say(check, DOCTOR_OK, NULL, "%s%s%s", path, initrd ? ", with " : ", without an initrd",
		           initrd ? initrd : "");
	boot_kernel_close(kernel);
	free(path);
	free(initrd);
}

static void check_folder(struct doctor_report *report, const char *name, const char *variable, char *path,
                         const struct error *err)
{
	struct doctor_check *check = doctor_add(report, name);
	char remedy[sizeof check->remedy];

	snprintf(remedy, sizeof remedy, "make it a folder of yours that only you can write to, or set %s to one",
	         variable);
	if (!path)
		doctor_say(check, DOCTOR_FAIL, remedy, "%s", err->text);
	else if (access(path, W_OK | X_OK))
		doctor_say(check, DOCTOR_FAIL, remedy, "%s: %s", path, strerror(errno));
	else
		doctor_say(check, DOCTOR_OK, NULL, "%s", path);
	free(path);
}

void doctor_host(struct doctor_report *report)
{
	struct error err = { "" };

	check_cpu(report);
	check_kvm(report);
	check_plugins(report);
	check_kernel(report);
	check_folder(report, "cache folder", "CAPSA_CACHE", path_cache_dir(&err), &err);
	check_folder(report, "run-time folder", "XDG_RUNTIME_DIR", path_runtime_dir(&err), &err);
}

enum doctor_status doctor_worst(const struct doctor_report *report)
{
	enum doctor_status worst = DOCTOR_OK;

	for (size_t i = 0; i < report->n; i++)
		if (report->checks[i].status > worst)
			worst = report->checks[i].status;
	return worst;
}

/* SPDX-License-Identifier: MIT */
/* host.c - the checks of doctor_host(). Called by core/cli/verb-doctor.c. */
#include <errno.h>
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

void doctor_say(struct doctor_check *check, enum doctor_status status, const char *remedy, const char *fmt, ...)
{
	va_list args;

	check->status = status;
	va_start(args, fmt);
	vsnprintf(check->detail, sizeof check->detail, fmt, args);
	va_end(args);
	snprintf(check->remedy, sizeof check->remedy, "%s", remedy ? remedy : "");
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

static void check_kvm(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "KVM");
	struct selftest_result result;
	struct error err = { "" };
	int fd;

	if (kvm_open(&fd, &err)) {
		char *remedy = strchr(err.text, ';');

		if (remedy)
			*remedy++ = '\0';
		doctor_say(check, DOCTOR_FAIL, remedy ? remedy + 1 : NULL, "%s", err.text);
		return;
	}
	doctor_say(check, DOCTOR_OK, NULL, "/dev/kvm is there and permitted, with everything that is needed");
	check = doctor_add(report, "guest self-test");
	selftest_run(fd, &result);
	close(fd);
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

static void check_plugins(struct doctor_report *report)
{
	struct doctor_check *check = doctor_add(report, "plugins");
	struct plugin *plugin;
	struct error err = { "" };

	if (plugin_load("console", &plugin, &err)) {
		doctor_say(check, DOCTOR_FAIL, "install capsa, or set CAPSA_PLUGIN_PATH", "%s", err.text);
		return;
	}
	doctor_say(check, DOCTOR_OK, NULL, "%s", plugin_file(plugin));
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

static void check_folder(struct doctor_report *report, const char *name, char *path, const struct error *err)
{
	struct doctor_check *check = doctor_add(report, name);

	if (!path)
		doctor_say(check, DOCTOR_FAIL, NULL, "%s", err->text);
	else if (access(path, W_OK | X_OK))
		doctor_say(check, DOCTOR_FAIL, "make it writable for yourself", "%s: %s", path, strerror(errno));
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
	check_folder(report, "cache folder", path_cache_dir(&err), &err);
	check_folder(report, "run-time folder", path_runtime_dir(&err), &err);
}

enum doctor_status doctor_worst(const struct doctor_report *report)
{
	enum doctor_status worst = DOCTOR_OK;

	for (size_t i = 0; i < report->n; i++)
		if (report->checks[i].status > worst)
			worst = report->checks[i].status;
	return worst;
}

# SPDX-License-Identifier: MIT
# The program. Libraries from the rooms that know most to those that know least.
bin_PROGRAMS += capsa
capsa_SOURCES = \
	core/cli/main.c core/cli/verb.h core/cli/verbs.c \
	core/cli/command-options.c core/cli/command-options.h \
	core/cli/machine-agent.c core/cli/machine-agent.h \
	core/cli/machine-options.c core/cli/machine-options.h \
	core/cli/machines.c core/cli/machines.h \
	core/cli/progress.c core/cli/progress.h \
	core/cli/trace-file.c core/cli/trace-file.h \
	core/cli/verb-cluster.c \
	core/cli/verb-console.c \
	core/cli/verb-cp.c \
	core/cli/verb-doctor.c \
	core/cli/verb-exec.c \
	core/cli/verb-image.c \
	core/cli/verb-info.c \
	core/cli/verb-kill.c \
	core/cli/verb-logs.c \
	core/cli/verb-ls.c \
	core/cli/verb-plugin.c \
	core/cli/verb-run.c \
	core/cli/verb-start.c \
	core/cli/verb-stop.c \
	core/cli/verb-version.c
capsa_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
CAPSA_ROOMS = \
	core/doctor/libdoctor.a \
	core/sandbox/libsandbox.a \
	agent/libagentshared.a \
	core/vm/libvm.a \
	core/control/libcontrol.a \
	core/plugin/libplugin.a \
	core/vsock/libvsock.a \
	core/config/libconfig.a \
	core/virtio/libvirtio.a \
	core/boot/libboot.a \
	core/machine/libmachine.a \
	core/base/libbase.a
capsa_LDADD = $(CAPSA_ROOMS) $(CONFIG_LIBS) $(EVENT_LIBS)

# The program as users meet it, with what can be wrong.
dist_check_SCRIPTS += tests/unit/bad-input.sh tests/unit/cache.sh tests/unit/environment.sh tests/unit/doctor.sh
TESTS += tests/unit/bad-input.sh tests/unit/cache.sh tests/unit/environment.sh tests/unit/doctor.sh
# Not called as the script without .sh: make would see a program in it, to be made of the script.
EXTRA_DIST += tests/unit/bad-input-pairs
if HAVE_CMOCKA
check_LTLIBRARIES += tests/unit/plugins/kvm-shim.la tests/unit/plugins/tagged.la
endif
tests_unit_plugins_kvm_shim_la_SOURCES = tests/unit/plugins/kvm-shim.c
tests_unit_plugins_kvm_shim_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_tagged_la_SOURCES = tests/unit/plugins/tagged.c
tests_unit_plugins_tagged_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)

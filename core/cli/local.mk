# SPDX-License-Identifier: MIT
# The program. Libraries from the rooms that know most to those that know least.
bin_PROGRAMS += capsa
capsa_SOURCES = core/cli/main.c core/cli/verb.h core/cli/verbs.c core/cli/verb-console.c core/cli/verb-doctor.c core/cli/verb-plugin.c core/cli/verb-version.c
capsa_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
CAPSA_ROOMS = \
	core/doctor/libdoctor.a \
	core/vm/libvm.a \
	core/control/libcontrol.a \
	core/plugin/libplugin.a \
	core/config/libconfig.a \
	core/virtio/libvirtio.a \
	core/boot/libboot.a \
	core/machine/libmachine.a \
	core/base/libbase.a
capsa_LDADD = $(CAPSA_ROOMS) $(CONFIG_LIBS) $(EVENT_LIBS) $(JSON_LIBS)

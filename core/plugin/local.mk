# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/plugin/libplugin.a
core_plugin_libplugin_a_SOURCES = \
	core/plugin/check.c \
	core/plugin/check.h \
	core/plugin/device.c \
	core/plugin/device.h \
	core/plugin/instance.h \
	core/plugin/jobs.c \
	core/plugin/jobs.h \
	core/plugin/loader.c \
	core/plugin/loader.h \
	core/plugin/services.c \
	core/plugin/services-event.c \
	core/plugin/services-info.c \
	core/plugin/services-memory.c \
	core/plugin/services-open.c \
	core/plugin/services-queue.c \
	core/plugin/state.c \
	core/plugin/state.h

# libtool leaves its own notes beside what it installs; capsa reads NAME.so only.
install-data-hook:
	cd '$(DESTDIR)$(plugindir)' && rm -f $(notdir $(plugin_LTLIBRARIES))
uninstall-hook:
	cd '$(DESTDIR)$(plugindir)' && rm -f $(notdir $(plugin_LTLIBRARIES:.la=.so))

# All that was built in one folder, for CAPSA_PLUGIN_PATH: build/plugins.
all-local: $(plugin_LTLIBRARIES)
	@for file in $(plugin_LTLIBRARIES:.la=); do name=$${file##*/}; ln -sf "$$name/.libs/$$name.so" "plugins/$$name.so" || exit 1; done
clean-local:
	@for file in $(plugin_LTLIBRARIES:.la=); do rm -f "plugins/$${file##*/}.so"; done

dist_check_SCRIPTS += tests/unit/plugin-out-of-tree.sh tests/unit/plugin-verb.sh
TESTS += tests/unit/plugin-out-of-tree.sh tests/unit/plugin-verb.sh
PLUGIN_TESTS = tests/unit/plugin_device_test tests/unit/plugin_loader_test tests/unit/plugin_services_test \
	tests/unit/plugin_events_test tests/unit/plugin_memory_test
if HAVE_CMOCKA
check_PROGRAMS += $(PLUGIN_TESTS)
TESTS += $(PLUGIN_TESTS)
check_LTLIBRARIES += \
	tests/unit/plugins/bad-newer.la \
	tests/unit/plugins/bad-size.la \
	tests/unit/plugins/bad-callback.la \
	tests/unit/plugins/bad-symbol.la \
	tests/unit/plugins/bad-entry.la \
	tests/unit/plugins/bad-null.la \
	tests/unit/plugins/hostile-crash.la \
	tests/unit/plugins/hostile-exit.la \
	tests/unit/plugins/hostile-hang.la
endif
tests_unit_plugin_device_test_SOURCES = tests/unit/plugin_device_test.c tests/unit/plugin_fake.h
tests_unit_plugin_device_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_plugin_device_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)
tests_unit_plugin_services_test_SOURCES = tests/unit/plugin_services_test.c tests/unit/plugin_fake.h
tests_unit_plugin_services_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_plugin_services_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)
tests_unit_plugin_loader_test_SOURCES = tests/unit/plugin_loader_test.c
tests_unit_plugin_loader_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_plugin_loader_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)
tests_unit_plugin_events_test_SOURCES = tests/unit/plugin_events_test.c tests/unit/plugin_fake.h tests/unit/plugin_settle.h
tests_unit_plugin_events_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_plugin_events_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)
tests_unit_plugin_memory_test_SOURCES = tests/unit/plugin_memory_test.c tests/unit/plugin_fake.h tests/unit/plugin_settle.h
tests_unit_plugin_memory_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_plugin_memory_test_LDADD = core/plugin/libplugin.a $(UNIT_LIBS)

# -rpath: libtool makes a shared object of what is not installed only when it is told a place.
BAD_PLUGIN_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_unit_plugins_bad_newer_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_newer_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_NEWER
tests_unit_plugins_bad_newer_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_bad_size_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_size_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_SIZE
tests_unit_plugins_bad_size_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_bad_callback_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_callback_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_CALLBACK
tests_unit_plugins_bad_callback_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_bad_symbol_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_symbol_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_SYMBOL
tests_unit_plugins_bad_symbol_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_bad_entry_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_entry_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_ENTRY
tests_unit_plugins_bad_entry_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_bad_null_la_SOURCES = tests/unit/plugins/bad.c
tests_unit_plugins_bad_null_la_CPPFLAGS = $(AM_CPPFLAGS) -DBAD_NULL
tests_unit_plugins_bad_null_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_hostile_crash_la_SOURCES = tests/unit/plugins/hostile.c
tests_unit_plugins_hostile_crash_la_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTILE_CRASH
tests_unit_plugins_hostile_crash_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_hostile_hang_la_SOURCES = tests/unit/plugins/hostile.c
tests_unit_plugins_hostile_hang_la_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTILE_HANG
tests_unit_plugins_hostile_hang_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)
tests_unit_plugins_hostile_exit_la_SOURCES = tests/unit/plugins/hostile.c
tests_unit_plugins_hostile_exit_la_CPPFLAGS = $(AM_CPPFLAGS) -DHOSTILE_EXIT
tests_unit_plugins_hostile_exit_la_LDFLAGS = $(BAD_PLUGIN_LDFLAGS)

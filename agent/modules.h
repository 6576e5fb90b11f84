/* SPDX-License-Identifier: MIT */
/*
 * modules.h - the kernel's modules, as the image lists them in MODULES_LIST.
 *
 * One group a line: "KEY FILE FILE...", the files (absolute, uncompressed) in the order of loading. KEY says when:
 *
 *   always           at the start
 *   virtio:N         at the start, where a virtio device with device ID N is on the PCI bus (virtio 1.2, 5)
 *   pci:VVVV:DDDD    at the start, where that PCI function is there (hexadecimal)
 *   fs:NAME          when somebody mounts that type
 *   later            when the agent serves already: what no command needs
 *   acpi:NAME        the same: the power button (acpi:button)
 *   later:KEY        the same, where KEY, one of the above but fs:, says that it is needed
 *
 * Order: always, then vsock (19), then the console (3), then the others, each as listed. A file may be named by many
 * groups; it is loaded once. No list: everything is built in.
 */
#ifndef CAPSA_AGENT_MODULES_H
#define CAPSA_AGENT_MODULES_H

#define MODULES_LIST "/lib/capsa/modules"

/* What this machine needs from the start. /proc and /sys are there. What cannot be loaded is said, and done without. */
void modules_load_present(void);
/* The "later" ones. */
void modules_load_later(void);
/* All "fs:" ones. */
void modules_load_file_systems(void);
/* What "fs:TYPE" lists; nothing where it is built in or there already. */
void modules_load_file_system(const char *type);

#endif

#!/bin/sh
# SPDX-License-Identifier: MIT
# `capsa doctor`: what it finds, on hosts that tests/unit/plugins/kvm-shim.c plays, and in machines that would show
# nothing or boot slowly. That it finds a working KVM to be usable is for tests/guest/doctor.sh.
set -u
build=${CAPSA_BUILD:-.}
build=$(realpath "$build")
if [ ! -x "$build/tests/unit/kernel_files" ] || ! command -v jq >/dev/null || ! command -v cpio >/dev/null; then
	echo "1..0 # SKIP cmocka, jq or cpio is missing"
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-doctor.XXXXXX") || exit 99
work=$(realpath "$work")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
mkdir run cache none
chmod 700 run cache
XDG_RUNTIME_DIR=$work/run CAPSA_CACHE=$work/cache CAPSA_PLUGIN_PATH=$build/plugins/console/.libs:$build/plugins/rng/.libs
CAPSA_KERNELS=$work/kernels
export XDG_RUNTIME_DIR CAPSA_CACHE CAPSA_PLUGIN_PATH CAPSA_KERNELS
case $(ldd "$build/capsa") in *libasan*) ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS-} && export ASAN_OPTIONS ;; esac
"$build/tests/unit/kernel_files" || exit 99
mkdir -p kernels/default && cp vmlinux kernels/default/vmlinuz

kvm=vcpus:64
# doctor ARGUMENT...: on the host that $kvm is
doctor()
{
	LD_PRELOAD=$build/tests/unit/plugins/.libs/kvm-shim.so TEST_KVM=$kvm timeout 60 "$build/capsa" doctor "$@" </dev/null
}

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# finds WORDS STATUS NAME DETAIL REMEDY [ARGUMENT...]: the report has that line, to the letter.
finds()
{
	words=$1 status=$2 name=$3 detail=$4 remedy=$5
	shift 5
	doctor --json "$@" >report.json 2>messages
	jq -e --arg s "$status" --arg n "$name" --arg d "$detail" --arg r "$remedy" \
		'[.checks[] | select(.name == $n and .status == $s and .detail == $d and .remedy == $r)] | length == 1' \
		report.json >/dev/null && [ ! -s messages ]
	good=$?
	[ $good = 0 ] || {
		sed 's/^/# said: /' messages
		jq -r --arg n "$name" '.checks[] | select(.name == $n) | "# found: \(.status) \(.detail) -> \(.remedy)"' report.json
	}
	result $good "$words"
}

# machine NAME LINE...: writes NAME.conf
machine()
{
	file=$1.conf
	shift
	printf '%s\n' "$@" >"$file"
}

# initrd FILE NAME...: an archive of empty files with these names
initrd()
{
	to=$work/$1
	shift
	rm -rf tree && mkdir tree
	for file; do
		mkdir -p "tree/$(dirname "$file")"
		: >"tree/$file"
	done
	(cd tree && find . | cpio --quiet -o -H newc) >"$to"
}
console='devices = ( { plugin = "console"; } );'

echo 1..39

# ---- the form of the report ----

doctor >report.txt 2>messages
status=$?
doctor --json >report.json
result $((status != 1 || $? != 1)) "a host that cannot run machines is status 1"
jq -e '.usable == false and .verdict == "broken" and (.checks | length >= 8)' report.json >/dev/null
result $? "--json is JSON, with a verdict"
jq -r '.checks[] | ((.status + "     ")[0:5] + " " + (.name + "                ")[0:16] + " " + .detail),
	(select(.remedy != "") | "                       -> " + .remedy)' report.json >from-json
sed '$d' report.txt | cmp -s - from-json
result $? "people and programs read the same"
[ "$(tail -n 1 report.txt)" = "This does not work as it is." ]
result $? "the last line says it in short"
jq -e '[.checks[] | select((.status == "ok") != (.remedy == "") or .detail == "")] | length == 0' report.json >/dev/null
result $? "every line has a finding, and a remedy unless all is well"
doctor --quiet >report.txt 2>&1
result $(($? != 1)) "--quiet has the same status"
[ ! -s report.txt ]
result $? "--quiet says nothing"
doctor --nonsense >report.txt 2>&1
result $(($? != 2)) "wrong usage is status 2"
doctor extra >report.txt 2>&1
result $(($? != 2)) "so is an argument"
doctor --json 2>messages >/dev/full
[ $? = 1 ] && grep -q 'cannot write the report: No space left' messages
result $? "a report that cannot be written is an error"
ugly=$(printf 'ugly\nna\377me.conf')
echo 'nothing = 1;' >"$ugly"
doctor --json -c "$ugly" 2>/dev/null | jq -e '.checks[] | select(.name == "configuration") | .status == "fail"' >/dev/null
result $? "a file with any name is a line of JSON"
doctor -c "$ugly" | grep -aq '^fail  configuration    ugly na'
result $? "and a line of text"

# ---- hosts ----

modprobe='is the module loaded? sudo modprobe kvm-intel or kvm-amd (virtualisation must be on in the firmware setup); in a VM: enable nested virtualisation on its host; in a container: pass --device /dev/kvm'
kvm=errno:2
finds "no /dev/kvm" fail /dev/kvm "KVM device /dev/kvm not accessible: it does not exist" "$modprobe"
kvm=errno:19
finds "no driver" fail /dev/kvm "KVM device /dev/kvm not accessible: no driver behind it" "$modprobe"
kvm=errno:1
finds "a container" fail /dev/kvm "KVM device /dev/kvm not accessible: forbidden, as by a container's device rules" \
	"start the container with --device /dev/kvm"
kvm=errno:16
finds "another hypervisor" fail /dev/kvm \
	"KVM device /dev/kvm not accessible: busy: another hypervisor (VirtualBox, VMware) holds the CPU's virtualisation" \
	"stop its machines first"
kvm=errno:13
doctor --json | jq -e '.checks[] | select(.name == "/dev/kvm" and .status == "fail") |
	(.detail | startswith("KVM device /dev/kvm not accessible: permission denied")) and (.remedy | contains("sudo usermod -aG"))' >/dev/null
result $? "no permission, with the group to join"
kvm=version:11
finds "another API" fail "KVM API" "it speaks KVM API version 11 and capsa speaks 12" \
	"is it really /dev/kvm of a Linux kernel 4.20 or later?"
kvm=lacks:32,36 # KVM_CAP_IRQFD, KVM_CAP_IOEVENTFD
finds "every capability that is missing" fail "KVM capabilities" \
	"this KVM lacks KVM_CAP_IRQFD (device interrupts without an exit), KVM_CAP_IOEVENTFD (device notifications without an exit)" \
	"use a host with Linux 4.20 or later"
kvm=vcpus:64
remedy="use a host whose KVM runs on vmx or svm"
[ ! -e /sys/module/kvm_pvm ] ||
	remedy="this KVM is backed by PVM, which cannot run stock kernels: use a host with vmx or svm, or tests/lab"
finds "a KVM that runs nothing" fail "guest self-test" "KVM_CREATE_VM: Input/output error" "$remedy"
CAPSA_PLUGIN_PATH=$work/none finds "no plugins, which are installed nowhere" fail plugins \
	"$(CAPSA_PLUGIN_PATH=$work/none "$build/capsa" plugin show console 2>&1 | sed 's/^capsa: //')" \
	"install capsa, or set CAPSA_PLUGIN_PATH to the folder that has them"
chmod 777 cache
finds "a cache that others may write to" fail "cache folder" \
	"$work/cache: other users can write to it; say: chmod 700 '$work/cache'" \
	"make it a folder of yours that only you can write to, or set CAPSA_CACHE to one"
chmod 700 cache

# ---- machines ----

machine bad 'cpu = 1;'
finds "a bad configuration" fail configuration 'bad.conf:1: unknown key "cpu"; did you mean "cpus"?' \
	'correct it: capsa.conf(5) describes every key, `capsa -n -c FILE` checks it again' -c bad.conf

initrd good.img init lib/modules/6/kernel/virtio-pci.ko.xz lib/modules/6/kernel/virtio_console.ko
machine good 'boot = { kernel = "vmlinux"; initrd = "good.img"; };' "$console"
finds "modules that the initrd has" ok virtio_console "a module, which is in $work/good.img" "" -c good.conf

machine built-in 'boot = { kernel = "built-in-vmlinux"; };' "$console"
finds "drivers in the kernel" ok virtio_pci "built into the kernel" "" -c built-in.conf

machine no-initrd 'boot = { kernel = "bzimage"; kernel_entry = "compressed"; };' "$console"
finds "modules without an initrd" fail virtio_pci "it is not built into the kernel, and there is no initrd to bring it" \
	"set boot.initrd to one that loads it; packaging/mkinitramfs makes one" -c no-initrd.conf
finds "a kernel that unpacks itself" slow kernel_entry "the guest unpacks its kernel itself" \
	"leave kernel_entry away, unless KASLR is wanted" -c no-initrd.conf

initrd poor.img init lib/modules/6/kernel/virtio_pci.ko
machine poor 'boot = { kernel = "vmlinux"; initrd = "poor.img"; };' 'serial = true;' "$console"
finds "a module that the initrd lacks" fail virtio_console \
	"not built into the kernel, and $work/poor.img has no such module" \
	"add it to the initrd; packaging/mkinitramfs makes one with it" -c poor.conf
finds "a serial port" slow serial "each character on the serial port is an exit" "leave serial away" -c poor.conf

mkdir lacking && cp vmlinux lacking/ && printf 'CONFIG_VIRTIO_PCI=y\n# CONFIG_VIRTIO_CONSOLE is not set\n' >lacking/config
machine lacking 'boot = { kernel = "lacking/vmlinux"; initrd = "good.img"; };' "$console"
finds "a kernel without the driver" fail virtio_console "$work/lacking/vmlinux lacks CONFIG_VIRTIO_CONSOLE" \
	"use a kernel that has it" -c lacking.conf

mkdir odd odd2 odd2/config && cp vmlinux odd/ && cp vmlinux odd2/ && echo '[core]' >odd/config
mkdir odd3 && cp vmlinux odd3/ && mkfifo odd3/config
for odd in odd odd2 odd3; do
	machine odd "boot = { kernel = \"$odd/vmlinux\"; initrd = \"good.img\"; };" "$console"
	finds "$odd: a config that is not the kernel's" ok virtio_console \
		"a module, which is in $work/good.img" "" -c odd.conf
done

cp good.img huge.img && truncate -s 70M huge.img
machine huge 'boot = { kernel = "vmlinux"; initrd = "huge.img"; };' "$console"
finds "a huge initrd" slow initrd "it is huge, 70 MiB: to read and unpack it takes longer than all the rest" \
	"packaging/mkinitramfs makes a small one" -c huge.conf

machine silent 'boot = { kernel = "vmlinux"; initrd = "good.img"; cmdline = [ "console=ttyS0" ]; };' "$console"
finds "no console=hvc0" note console "no console=hvc0 on the command line: the kernel's messages go elsewhere" \
	'add "console=hvc0" to boot.cmdline' -c silent.conf
machine both 'boot = { kernel = "vmlinux"; initrd = "good.img"; cmdline = [ "console=hvc0 console=ttyS0,115200" ]; };' "$console"
finds "init on another console" note console "the last console= is ttyS0: init speaks there, only the kernel on hvc0" \
	'put "console=hvc0" behind the other console= in boot.cmdline' -c both.conf
machine headless 'boot = { kernel = "vmlinux"; initrd = "good.img"; };' 'devices = ( { plugin = "rng"; } );'
finds "no console device" note console "no console device: nothing will be shown" \
	'add { plugin = "console"; } to devices' -c headless.conf
machine file 'boot = { kernel = "vmlinux"; initrd = "good.img"; };' \
	'devices = ( { plugin = "console"; backend = "file"; path = "log"; }, { plugin = "console"; } );'
finds "a console that is a file" note console "console0 is hvc0, and writes to the file log" \
	'look there, or set backend = "stdio"' -c file.conf
machine crowd 'cpus = 254;' 'boot = { kernel = "vmlinux"; initrd = "good.img"; };' "$console"
finds "more CPUs than the host has" note size "254 CPUs, and the host has $(getconf _NPROCESSORS_ONLN)" "lower cpus" -c crowd.conf

#!/bin/sh
# SPDX-License-Identifier: MIT
# The image of a sandbox as users meet it: `capsa image` with a kernel of a distribution, and what can be wrong with its
# inputs and its cache. (image_test.c has the cases that need code.)
set -u
LC_ALL=C && export LC_ALL
build=${CAPSA_BUILD:-.}
build=$(realpath "$build")
source=${CAPSA_SOURCE:-.}
source=$(realpath "$source")
kernel=$("$source/packaging/kernel-fetch" -p)/default
skip()
{
	echo "1..0 # SKIP $*"
	exit 0
}
[ -r "$kernel/vmlinuz" ] || skip "no kernel: ./bootstrap prepare fetches one"
for tool in cpio jq xz zstd gzip busybox; do
	command -v $tool >/dev/null || skip "$tool is missing"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-image.XXXXXX") || exit 99
work=$(realpath "$work")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
CAPSA_CACHE=$work/cache CAPSA_BUSYBOX=$work/busybox CAPSA_AGENT=$work/agent
export CAPSA_CACHE CAPSA_BUSYBOX CAPSA_AGENT
cp -L "$(command -v busybox)" busybox
! ./busybox true 2>/dev/null || case $(ldd busybox 2>/dev/null) in *'=>'*) skip "busybox is not static" ;; esac
# Any static program that is not the busybox itself will do.
cp busybox agent && echo "the agent" >>agent
version=$(basename "$(realpath "$kernel")")
use=$kernel

n=0
# result OK WORDS: one line of TAP.
result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

image()
{
	timeout 120 "$build/capsa" image "$@" </dev/null
}

# made: there is an image for the kernel in the folder $use; $name, $initrd, $built tell which, and whether it was not there before
made()
{
	image build --kernel "$use/vmlinuz" --json >out.json 2>messages || return 1
	name=$(jq -r .name out.json) initrd=$(jq -r .initrd out.json) built=$(jq -r .built out.json)
	[ ! -s messages ]
}

# only ENTRIES: the cache of images holds so many, and nothing but those, the index and the lock
only()
{
	[ "$(find cache/images -name '*.initrd' | wc -l)" = "$1" ] &&
		! find cache/images -mindepth 1 ! -name '*.initrd' ! -name '*.file' ! -name lock | grep .
}

# refused WORDS PATTERN COMMAND...: no image, one line that matches, status 1
refused()
{
	words=$1 pattern=$2
	shift 2
	timeout 120 "$@" </dev/null >out 2>messages
	[ $? = 1 ] && [ "$(wc -l <messages)" = 1 ] && grep -q "$pattern" messages && [ ! -s out ]
	good=$?
	[ $good = 0 ] || sed 's/^/# said: /' messages
	result $good "$words"
}

unpacked()
{
	rm -rf root && mkdir root && (cd root && cpio -idm --quiet <"$initrd" 2>"$work/messages") && [ ! -s messages ]
}

echo 1..42

# ---- what is in it ----

made && [ "$built" = true ] && [ "$(jq -r .version out.json)" = "$version" ] && [ "$(jq -r .size out.json)" = "$(stat -c %s "$initrd")" ] &&
	[ "$(stat -c %a "$initrd")" = 400 ] && only 1
result $? "the first build makes an image, and tells where, for which kernel, how large"
unpacked && cmp root/init agent && cmp root/bin/busybox busybox && [ -x root/init ] && [ -x root/bin/busybox ]
result $? "cpio takes it: agent and busybox are in place"
[ "$(find root/bin -type l | wc -l)" -ge "$(($(./busybox --list | wc -l) - 1))" ] && [ "$(readlink root/bin/sh)" = busybox ] &&
	[ "$(root/bin/busybox echo x)" = x ] && [ -x root/usr/bin/env ] && [ -x root/sbin/reboot ]
result $? "every applet has its name, also in /sbin and /usr/bin"
[ "$(stat -c %a root/tmp)" = 1777 ] && [ "$(stat -c %a root/root)" = 700 ] && grep -q '^root:x:0:0:' root/etc/passwd &&
	grep -q '^nobody:' root/etc/passwd && grep -q localhost root/etc/hosts && grep -q '^NAME=capsa' root/etc/os-release &&
	[ -d root/dev ] && [ -d root/proc ] && [ -d root/sys ] && [ -d root/run ] && [ -d root/mnt ]
result $? "folders and the files of /etc are there"
bad=
while read -r key files; do
	for file in $files; do [ -f "root$file" ] || bad="$bad $key/$file"; done
done <root/lib/capsa/modules
[ -z "$bad" ] && [ "$(tr ' ' '\n' <root/lib/capsa/modules | grep '\.ko$' | sort -u)" = "$(find root/lib/modules -type f -printf '/lib/modules/%f\n' | sort)" ]
result $? "the list of modules names all that are there, and no others"
bad=
always=" $(sed -n 's/^always //p' root/lib/capsa/modules) "
while read -r key files; do
	seen=$always
	[ "$key" = always ] && seen=" "
	for file in $files; do
		needs=$(sed -n "s|^[^:]*/${file##*/}: *||p" "$kernel/lib/modules/$version/modules.dep")
		for need in $needs; do
			case $seen in *"/${need##*/} "*) ;; *) bad="$bad $file<${need##*/}" ;; esac
		done
		seen="$seen$file "
	done
done <root/lib/capsa/modules
[ -z "$bad" ] && grep -q . root/lib/capsa/modules
result $? "every module comes behind what it needs${bad:+:$bad}"

# ---- the cache ----

cp -R root root.first
first=$initrd first_name=$name
cp "$initrd" first.initrd
# From here on a kernel of our own to change, as kernel-fetch would have made it, with no more modules than it needs.
folder_of_modules=$(realpath "$kernel/lib/modules/$version")
copy_kernel()
{
	mkdir -p "$1/lib/modules/$version" && cp "$kernel/vmlinuz" "$1/" &&
		cp "$folder_of_modules/modules.dep" "$folder_of_modules/modules.builtin" "$1/lib/modules/$version/" || exit 99
	for file in root/lib/modules/*.ko; do
		path=$(cd "$folder_of_modules" && find . -name "${file##*/}")
		mkdir -p "$1/lib/modules/$version/${path%/*}" && cp "$folder_of_modules/$path" "$1/lib/modules/$version/$path" || exit 99
	done
}
use=k modules=k/lib/modules/$version
copy_kernel k
made && [ "$built" = false ] && [ "$initrd" = "$first" ] && only 1
result $? "the second build finds it"
image build -q --kernel k/vmlinuz >out 2>messages && [ ! -s out ] && [ ! -s messages ]
result $? "-q says nothing"
image build --kernel k/vmlinuz >out 2>messages && grep -q "^version  $version$" out && grep -q "^initrd   $first$" out && [ ! -s messages ]
result $? "without --json it tells the same; no progress where there is no terminal"
image ls >out && grep -q "^$name  $version " out && image ls --json >out.json &&
	[ "$(jq -r '.images[] | [.name, .version, .initrd] | join(" ")' out.json)" = "$name $version $first" ]
result $? "ls lists it"
image rm zzzz 2>messages
[ $? = 1 ] && grep -q 'no image "zzzz"' messages && only 1
result $? "rm of what is not there says so"
image rm "$(printf %.6s "$name")" && only 0
result $? "rm takes the first digits of a name"
made && [ "$built" = true ] && cmp "$initrd" first.initrd && [ "$name" = "$first_name" ]
result $? "built again: the same bytes under the same name"

# The same content elsewhere, at another time, is the same image.
copy_kernel other && cp busybox other/busybox
CAPSA_BUSYBOX=$work/other/busybox image build --kernel other/vmlinuz --json >out.json 2>messages && [ "$(jq -r .name out.json)" = "$first_name" ] &&
	[ "$(jq -r .built out.json)" = false ] && only 1
result $? "the same files elsewhere: the same image"

# Whatever goes in decides: each change gives another image.
names=$first_name
cp agent agent.old && echo more >>agent && made && names="$names $name"
mv agent.old agent
cp busybox busybox.old && echo more >>busybox && made && names="$names $name"
mv busybox.old busybox
vsock=$(find "$modules/" -name 'vmw_vsock_virtio_transport.ko')
cp "$vsock" vsock.old && echo more >>"$vsock" && touch "$modules/modules.dep" && made && names="$names $name"
cp vsock.old "$vsock"
cp k/vmlinuz vmlinuz.old && echo more >>k/vmlinuz && made && names="$names $name"
cp vmlinuz.old k/vmlinuz
touch "$modules/modules.dep"
# shellcheck disable=SC2086 # a list of words
[ "$(printf '%s\n' $names | sort -u | wc -l)" = 5 ] && only 5
result $? "another agent, busybox, module or kernel: another image each"
image rm --all >out && [ "$(cat out)" = "5 removed" ] && only 0
result $? "rm --all removes them all"

# Modules as distributions pack them. Only those that are needed: the others stay as they are.
cp "$modules/modules.dep" dep
i=0
for file in $(find root/lib/modules -type f -printf '%f\n' | sort); do
	path=$(find "$modules/" -name "$file")
	i=$(((i + 1) % 3))
	case $i in
	0) xz -q --check=crc32 "$path" && suffix=xz ;;
	1) zstd -q --rm "$path" && suffix=zst ;;
	2) gzip "$path" && suffix=gz ;;
	esac
	sed -i "s|/$file\\>|/$file.$suffix|g" "$modules/modules.dep"
done
made && [ "$built" = true ] && [ "$name" = "$first_name" ] && cmp "$initrd" first.initrd
result $? "modules packed with xz, zstd and gzip: the same image"
rm -rf "$modules" && cp -R "other/lib/modules/$version" k/lib/modules/

# ---- damaged entries ----

for damage in "truncate -s -1" "truncate -s +512" "truncate -s 0" "chmod 666"; do
	chmod 600 "$initrd" && $damage "$initrd"
	[ "$damage" = "chmod 666" ] || chmod 400 "$initrd"
	made && [ "$built" = true ] && cmp "$initrd" first.initrd && only 1
	result $? "an entry after $damage is built anew"
done

# ---- many at once, killed ones ----

image rm --all >/dev/null
for i in 1 2 3 4; do
	image build --kernel k/vmlinuz --json >"out$i" 2>"messages$i" || echo "status $?" >>"messages$i" &
done
wait
[ "$(cat out? | jq -r .initrd | sort -u)" = "$first" ] && [ "$(cat out? | jq -r .built | grep -c true)" = 1 ] &&
	[ -z "$(cat messages?)" ] && cmp "$first" first.initrd && only 1
result $? "four at once: one builds, all get the same image"

image rm --all >/dev/null
# The first rename is the one that gives the image its name, the kernel is in its cache already; or the second: what was too
# new a moment ago to be known by its file's time gets that name, too.
strace=0
command -v strace >/dev/null && strace -qq -o /dev/null -e trace=rename -e inject=rename:signal=KILL:when=1 true 2>/dev/null && strace=1
if [ $strace = 1 ]; then
	for nth in 1 2; do
		ASAN_OPTIONS=detect_leaks=0 strace -qq -o trace -e trace=renameat,renameat2,rename \
			-e inject=renameat,renameat2,rename:signal=KILL:when=$nth "$build/capsa" image build -q --kernel k/vmlinuz 2>/dev/null
		! grep -q '\.file"' trace || [ $nth = 2 ] || continue
		break
	done
	[ "$(find cache/images -name 'new-*' | wc -l)" = 1 ] && [ -z "$(find cache/images -name '*.initrd')" ]
	result $? "killed before the image has its name: there is none"
	made && [ "$built" = true ] && cmp "$initrd" first.initrd && only 1
	result $? "the next one builds it, and removes what was left"
else
	result 0 "killed before the image has its name: there is none # SKIP strace does not work here"
	made
	result 0 "the next one builds it, and removes what was left # SKIP strace does not work here"
fi

# ---- a cache that cannot be written to, or is full ----

cat >readonly.sh <<'S'
mount --bind "$CAPSA_CACHE" "$CAPSA_CACHE" && mount -o remount,bind,ro "$CAPSA_CACHE" || exit 99
"$@"
S
cat >full.sh <<'S'
mount -t tmpfs -o size=2m,mode=700 full "$CAPSA_CACHE" || exit 99
"$@"
status=$?
find "$CAPSA_CACHE/images" -type f ! -name lock >left
exit $status
S
namespaces=0
unshare -r -m sh readonly.sh true 2>/dev/null && namespaces=1
if [ $namespaces = 1 ]; then
	unshare -r -m sh readonly.sh "$build/capsa" image build --kernel k/vmlinuz --json >out.json 2>messages &&
		[ "$(jq -r .built out.json)" = false ] && [ ! -s messages ]
	result $? "a read-only cache that has the image: used"
	mv cache cache.full && mkdir -m 700 cache && mkdir -m 700 cache/images
	unshare -r -m sh readonly.sh "$build/capsa" image build --kernel k/vmlinuz >out 2>messages
	[ $? = 1 ] && grep -q 'cannot be written: Read-only file system; set CAPSA_CACHE' messages && [ "$(wc -l <messages)" = 1 ]
	result $? "a read-only cache that has not: said"
	unshare -r -m sh full.sh "$build/capsa" image build --kernel k/vmlinuz >out 2>messages
	[ $? = 1 ] && grep -q 'no room for an image of [0-9]* MiB' messages && [ "$(wc -l <messages)" = 1 ] && [ ! -s left ]
	result $? "a full disk: said, nothing left behind"
	rm -rf cache && mv cache.full cache
else
	for words in "a read-only cache that has the image: used" "a read-only cache that has not: said" "a full disk: said, nothing left behind"; do
		result 0 "$words # SKIP no mount namespace"
	done
fi
image rm --all >/dev/null
# shellcheck disable=SC2016 # for that shell to expand
refused "a limit on file sizes: said" 'more than the limit on file sizes allows' \
	sh -c 'ulimit -f 2048 && exec "$@"' sh "$build/capsa" image build --kernel k/vmlinuz
only 0
result $? "a limit on file sizes: nothing left behind"

# ---- inputs that are missing or wrong ----

capsa=$build/capsa
refused "no busybox" 'CAPSA_BUSYBOX is /nowhere, which is not there' \
	env CAPSA_BUSYBOX=/nowhere "$capsa" image build --kernel k/vmlinuz
refused "a busybox that is not static" '/bin/ls is not static.*; busybox-static is missing: apt-get install busybox-static' \
	env CAPSA_BUSYBOX=/bin/ls "$capsa" image build --kernel k/vmlinuz
refused "no agent" 'CAPSA_AGENT is /nowhere, which is not there' env CAPSA_AGENT=/nowhere "$capsa" image build --kernel k/vmlinuz
mkdir -p bin/agent && cp "$capsa" bin/capsa
cp agent bin/agent/capsa-agent
env -u CAPSA_AGENT bin/capsa image build --kernel k/vmlinuz --json >out.json 2>messages && [ "$(jq -r .name out.json)" = "$first_name" ]
result $? "the agent of an uninstalled capsa is found beside it"
# A vmlinux does not say which it is: the modules beside it do.
mkdir -p elf/lib && ln -s ../../other/lib/modules elf/lib/modules
if command -v python3 >/dev/null && python3 "$source/tests/guest/extract-vmlinux.py" k/vmlinuz elf/vmlinux 2>/dev/null; then
	image build --kernel elf/vmlinux --json >out.json 2>messages && [ "$(jq -r .version out.json)" = "$version" ] &&
		initrd=$(jq -r .initrd out.json) && unpacked && cmp root/lib/capsa/image "$work/root.first/lib/capsa/image"
	result $? "a vmlinux has the modules beside it"
else
	result 0 "a vmlinux has the modules beside it # SKIP python3 is missing"
fi
rm -rf elf
cp k/vmlinuz alone
if [ -e "/lib/modules/$version" ]; then
	result 0 "a kernel without modules # SKIP Linux $version is installed"
else
	refused "a kernel without modules" "alone: no module virtio_pci: it is not built in.*lib/modules/$version.*install the modules of Linux $version" \
		"$capsa" image build --kernel alone
fi
sed -i '/vmw_vsock_virtio_transport.ko:/d' "$modules/modules.dep"
refused "a module that is needed and missing" "no module vmw_vsock_virtio_transport, and it is not built into Linux $version; give another kernel" \
	"$capsa" image build --kernel k/vmlinuz
cp dep "$modules/modules.dep" && rm "$vsock"
refused "a module that is listed and not there" 'vmw_vsock_virtio_transport.ko: No such file or directory; install' \
	"$capsa" image build --kernel k/vmlinuz
refused "a kernel that is not there" '^capsa: nowhere: no such kernel' "$capsa" image build --kernel nowhere
if [ $namespaces = 1 ]; then
	refused "no kernel at all" 'no kernel was given and none found: .*, or let kernel-fetch .* download one' \
		env CAPSA_KERNELS="$work/none" HOME="$work" XDG_DATA_HOME="$work" unshare -r -m \
		sh -c 'mount -t tmpfs none /var/lib && { [ ! -d /boot ] || mount -t tmpfs none /boot; } && exec "$@"' sh "$capsa" image build
else
	result 0 "no kernel at all # SKIP no mount namespace"
fi
# As an installed kernel has them; most places have that folder.
if [ $namespaces = 1 ] && [ -d /lib/modules ]; then
	CAPSA_CACHE=$work/cache unshare -r -m sh -c 'mount --bind other/lib/modules /lib/modules && exec "$@"' sh \
		"$capsa" image build --kernel alone --json >out.json 2>messages && [ "$(jq -r .name out.json)" = "$first_name" ]
	result $? "modules in /lib/modules are found"
else
	result 0 "modules in /lib/modules are found # SKIP no mount namespace, or no such folder"
fi
# For root every file is readable: somebody else, then.
chmod 600 k/vmlinuz && chmod 755 . && mkdir elsewhere
drop=
[ "$(id -u)" = 0 ] && drop="setpriv --reuid=12345 --clear-groups" && chown 12345 elsewhere
[ -n "$drop" ] || chmod 0 k/vmlinuz
# shellcheck disable=SC2086 # a command and its words
refused "a kernel that is not for this user" "k/vmlinuz: not readable for this user; .*kernel-fetch.*chmod a+r 'k/vmlinuz'" \
	env CAPSA_CACHE="$work/elsewhere" $drop bin/capsa image build --kernel k/vmlinuz

# ---- how little a warm start takes ----

# All of it must have been there for a while: a file that changed just now is not remembered.
unset CAPSA_BUSYBOX
CAPSA_AGENT=$(command -v busybox) && export CAPSA_AGENT
image build -q 2>messages
if [ "$strace" = 0 ] || [ -n "$(find -L "$CAPSA_AGENT" "$kernel/vmlinuz" "$kernel/lib/modules/$version/modules.dep" -newermt '-5 seconds')" ]; then
	result 0 "found in the cache: nothing is read # SKIP strace does not work here, or the inputs are new"
else
	ASAN_OPTIONS=detect_leaks=0 strace -qq -o trace "$capsa" image build -q
	sed -n '/default\/vmlinuz/,$p' trace >warm
	! grep -q 'openat.*\(busybox\|modules.dep\|/kernels"\)' warm && [ "$(wc -l <warm)" -le 45 ]
	result $? "found in the cache: nothing is read"
fi

"""The fixed shell scripts that examine a device and print key=value lines. They need only POSIX sh, sed and uname."""

from __future__ import annotations

END = "edgewright_probe=done"
"""What they print last."""

# `one KEY FILE` prints a file's first line, `all KEY FILE` every line; `health` prints what changes from minute to
# minute.
HEALTH_FUNCTION = r"""
one() { v=; { read -r v < "$2"; } 2>/dev/null; [ -z "$v" ] || printf '%s=%s\n' "$1" "$v"; }
all() { [ -r "$2" ] && sed "s/^/$1=/" "$2" 2>/dev/null; }
has() { command -v "$1" >/dev/null 2>&1; }
text() {
has tr || { one "$@"; return; }
v=; [ -r "$2" ] && v=$(tr '\0\n' '  ' < "$2" 2>/dev/null); [ -z "$v" ] || printf '%s=%s\n' "$1" "$v"
}
limited() { if has timeout; then timeout 5 "$@" 2>/dev/null; else "$@" 2>/dev/null; fi; }
health() {
one loadavg /proc/loadavg
one stat /proc/stat
sed -n -e 's/^MemTotal:/MemTotal=/p' -e 's/^MemAvailable:/MemAvailable=/p' /proc/meminfo 2>/dev/null
for c in /sys/devices/system/cpu/cpu[0-9]*; do
n=${c##*/cpu}
one "cpu.$n.current" "$c/cpufreq/scaling_cur_freq"
done
for z in /sys/class/thermal/thermal_zone*; do
n=${z##*/thermal_zone}
one "zone.$n.type" "$z/type"
one "zone.$n.temp" "$z/temp"
done
for b in /sys/class/power_supply/*; do
t=; { read -r t < "$b/type"; } 2>/dev/null
[ "$t" = Battery ] || continue
s=; { read -r s < "$b/scope"; } 2>/dev/null
[ "$s" = Device ] && continue
one battery.percent "$b/capacity"
one battery.status "$b/status"
one battery.decidegrees "$b/temp"
done
}
"""

# "$1" is the folder whose free space is wanted; it is a word of its own, never code.
PROBE = (
    HEALTH_FUNCTION
    + r"""
health
printf 'machine=%s\nkernel=%s\n' "$(uname -m)" "$(uname -r)"
printf 'uid=%s\nuser=%s\n' "$(id -u 2>/dev/null)" "$(id -un 2>/dev/null)"
printf 'home=%s\n' "$HOME"
text dt.model /sys/firmware/devicetree/base/model
text dt.compatible /sys/firmware/devicetree/base/compatible
text dt.serial /sys/firmware/devicetree/base/serial-number
one dmi.vendor /sys/class/dmi/id/sys_vendor
one dmi.product /sys/class/dmi/id/product_name
one machine_id /etc/machine-id
all os_release /etc/os-release
one l4t /etc/nv_tegra_release
one cpu.online /sys/devices/system/cpu/online
one cpu.present /sys/devices/system/cpu/present
sed -n -e 's/^processor/cpuinfo=&/p' -e 's/^CPU implementer/cpuinfo=&/p' -e 's/^CPU part/cpuinfo=&/p' \
 -e 's/^model name/cpuinfo=&/p' -e 's/^Hardware/cpuinfo=&/p' -e 's/^Processor/cpuinfo=&/p' /proc/cpuinfo 2>/dev/null
for c in /sys/devices/system/cpu/cpu[0-9]*; do
n=${c##*/cpu}
one "cpu.$n.min" "$c/cpufreq/cpuinfo_min_freq"
one "cpu.$n.max" "$c/cpufreq/cpuinfo_max_freq"
one "cpu.$n.governor" "$c/cpufreq/scaling_governor"
one "cpu.$n.related" "$c/cpufreq/related_cpus"
done
if has getprop; then
for p in ro.product.manufacturer ro.product.model ro.soc.manufacturer ro.soc.model ro.board.platform \
 ro.build.version.release ro.build.version.sdk ro.serialno; do
printf '%s=%s\n' "$p" "$(getprop "$p" 2>/dev/null)"
done
fi
if has dumpsys; then
limited dumpsys battery | sed -n 's/^  *\([a-z]*\): /dumpsys.\1=/p'
limited dumpsys power | sed -n 's/^ *mWakefulness=/screen=/p'
fi
one selinux.enforce /sys/fs/selinux/enforce
has getenforce && printf 'selinux=%s\n' "$(getenforce 2>/dev/null)"
has getconf && printf 'libc.getconf=%s\n' "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
has ldd && ldd --version 2>&1 | sed -n -e '1s/^/libc.ldd=/p' -e '2s/^/libc.ldd2=/p'
for l in /lib/*/libc.so.6 /lib64/libc.so.6 /lib/libc.so.6; do
[ -x "$l" ] && "$l" 2>/dev/null </dev/null | sed -n '1s/^/libc.self=/p'
done
d=$1
while [ ! -d "$d" ] && [ "${d%/*}" != "$d" ]; do d=${d%/*}; done
printf 'df.path=%s\n' "${d:-/}"
df -kP "${d:-/}" 2>/dev/null | sed 's/^/df=/'
echo edgewright_probe=done
"""
)
HEALTH = HEALTH_FUNCTION + "health\necho edgewright_probe=done\n"

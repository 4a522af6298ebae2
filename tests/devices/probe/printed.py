"""What the probe's script prints on devices that we do not have."""

from __future__ import annotations

# What the script prints on a phone with three kinds of CPU, its fastest switched off, and SELinux hiding the battery.
PHONE = """
loadavg=1.80 2.10 2.00 3/4211 9876
stat=cpu  100 0 100 1000 0 0 0 0 0 0
MemTotal=       7812345 kB
MemAvailable=   3906172 kB
cpu.0.current=1804800
cpu.1.current=300000
cpu.4.current=2419200
zone.0.type=cpu-0-0
zone.0.temp=41200
zone.1.type=modem
zone.1.temp=-273000
zone.2.type=skin
zone.2.temp=0
zone.3.type=old-sensor
zone.3.temp=38
zone.4.type=charger
zone.4.temp=275000
machine=aarch64
kernel=5.10.107-android13
uid=2000
user=shell
cpu.online=0-6
cpu.present=0-7
cpuinfo=processor\t: 0
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd05
cpuinfo=processor\t: 1
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd05
cpuinfo=processor\t: 4
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd41
cpuinfo=processor\t: 5
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd41
cpuinfo=processor\t: 6
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd44
cpu.0.min=300000
cpu.0.max=1804800
cpu.0.governor=schedutil
cpu.0.related=0 1 2 3
cpu.1.min=300000
cpu.1.max=1804800
cpu.1.governor=schedutil
cpu.1.related=0 1 2 3
cpu.4.min=691200
cpu.4.max=2419200
cpu.4.governor=schedutil
cpu.4.related=4 5
cpu.6.min=806400
cpu.6.max=2841600
cpu.6.governor=performance
cpu.6.related=6 7
ro.product.manufacturer=Maker
ro.product.model=Maker Phone 5
ro.soc.manufacturer=QTI
ro.soc.model=SM8350
ro.build.version.release=13
ro.build.version.sdk=33
ro.serialno=ABC123
dumpsys.level=43
dumpsys.scale=50
dumpsys.status=2
dumpsys.temperature=285
screen=Awake
selinux=Enforcing
libc.ldd=ldd (GNU libc) 2.31
df.path=/data/local/tmp
df=Filesystem     1024-blocks    Used Available Capacity Mounted on
df=/dev/block/dm-44 112000000 90000000 21504000      81% /data
"""

# A Jetson Nano with JetPack 4: four CPUs of one policy, no ldd, no getconf.
JETPACK_4 = """
MemTotal=4059264 kB
zone.0.type=CPU-therm
zone.0.temp=74500
machine=aarch64
uid=1000
user=nvidia
home=/home/nvidia
dt.model=NVIDIA Jetson Nano Developer Kit
dt.compatible=nvidia,p3450-0000 nvidia,tegra210
machine_id=0123456789abcdef0123456789abcdef
os_release=NAME="Ubuntu"
os_release=PRETTY_NAME="Ubuntu 18.04.6 LTS"
l4t=# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: Sat Feb 19 17:05:08 UTC 2022
cpu.online=0-1
cpu.present=0-3
cpuinfo=processor\t: 0
cpuinfo=model name\t: ARMv8 Processor rev 1 (v8l)
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd07
cpuinfo=processor\t: 1
cpuinfo=model name\t: ARMv8 Processor rev 1 (v8l)
cpuinfo=CPU implementer\t: 0x41
cpuinfo=CPU part\t: 0xd07
cpu.0.min=102000
cpu.0.max=1479000
cpu.0.governor=schedutil
cpu.0.related=0 1 2 3
cpu.1.min=102000
cpu.1.max=1479000
cpu.1.governor=schedutil
cpu.1.related=0 1 2 3
libc.self=GNU C Library (Ubuntu GLIBC 2.27-3ubuntu1.5) stable release version 2.27.
df.path=/home/nvidia
df=/dev/mmcblk0p1 30000000 29900000 102400 99% /
"""

"""A stand-in for Google's benchmark_model, whose binary is not available here.

It is put at the wire: a POSIX shell program that takes the tool's flags, opens the real model file it is given, and
prints what the tool's sources and published logs print. The latency it reports is the model's size in bytes, in us.
"""

from __future__ import annotations

from pathlib import Path

# MODE is one of the ways in which the real tool goes on or ends; the lines are its own.
TOOL = r"""#!/bin/sh
mode=MODE
echo "INFO: STARTING!"
for a in "$@"; do case $a in
--graph=*) g=${a#--graph=} ;;
--use_*) use=$a ;;
--signature_to_run_for=*) asked=$a ;;
--input_layer*) asked=$a ;;
--enable_op_profiling=true) profiled=$a ;;
esac; done
[ -z "$asked" ] || printf '%s\n' "$@" > "$0.asked"
case "$mode $asked" in
"old "?*) echo "WARN: Unconsumed cmdline flags: $asked" ;;
"refuses "?*) echo "ERROR: Failed to allocate tensors!" >&2; echo "ERROR: Benchmarking failed." >&2; exit 1 ;;
esac
echo "INFO: Log parameter values verbosely: [0]"
echo "INFO: Graph: [$g]"
if [ ! -f "$g" ] || ! grep -q TFL3 "$g"; then
echo "ERROR: Model provided has model identifier '????', should be 'TFL3'" >&2
echo "ERROR: Failed to load model $g" >&2
echo "ERROR: Benchmarking failed." >&2
exit 1
fi
echo "INFO: Loaded model $g"
case $mode in
crash) kill -SEGV $$ ;;
killed) kill -KILL $$ ;;
hang) echo $$ > "${g%/*}/pid"; sleep 600 & wait ;;
invoke) echo "ERROR: Node number 3 (CONV_2D) failed to invoke." >&2; echo "ERROR: Benchmarking failed." >&2; exit 1 ;;
silent) exit 0 ;;
endless) while :; do echo "INFO: the same line again and again and again and again and again and again"; done ;;
esac
case "$use $mode" in
"--use_gpu=true failed") echo "ERROR: Failed to apply GPU delegate." >&2; echo "ERROR: Benchmarking failed." >&2; exit 1 ;;
"--use_gpu=true nogpu") echo "WARN: GPU acceleration is unsupported on this platform." ;;
"--use_gpu=true partly")
echo "ERROR: Following operations are not supported by GPU delegate:" >&2
echo "SPLIT: Operation is not supported." >&2
echo "9 operations will run on the GPU, and the remaining 2 operations will run on the CPU." >&2
echo "INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 3 delegate kernels." ;;
"--use_gpu=true nothing")
echo "INFO: Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate." ;;
"--use_gpu=true "*) echo "INFO: Created TensorFlow Lite delegate for GPU."
echo "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate." ;;
"--use_xnnpack=true "*) echo "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
echo "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate." ;;
"--use_nnapi=true android") echo "INFO: Created TensorFlow Lite delegate for NNAPI."
echo "INFO: Explicitly applied NNAPI delegate, and the model graph will be completely executed by the delegate." ;;
"--use_xnnpack=false implicit") echo "INFO: Created TensorFlow Lite XNNPACK delegate for CPU." ;;
esac
set -- $(ls -ln "$g")
size=$5
echo "INFO: The input model file size (MB): 0.01"
echo "INFO: Initialized session in 12.5ms."
echo "INFO: Running benchmark for at least 5 iterations and at least 0.25 seconds but terminate if exceeding 2 seconds."
echo "INFO: count=7 first=900 curr=700 min=650 max=900 avg=710.5 std=60 p5=650 median=700 p95=900"
echo
echo "INFO: Running benchmark for at least 30 iterations and at least 0.025 seconds but terminate if exceeding 2 seconds."
case $mode in
old) echo "INFO: count=40 first=${size} curr=${size} min=600 max=${size}9 avg=1.05784e+06 std=42" ;;
same) echo "INFO: count=4 curr=1300(all same)" ;;
zero) echo "INFO: count=40 first=1 curr=0 min=0 max=1 avg=0.02 std=0 p5=0 median=0 p95=1" ;;
*) echo "INFO: count=40 first=${size}8 curr=${size}2 min=600 max=${size}9 avg=1234.5 std=42 p5=610 median=${size} p95=${size}1" ;;
esac
echo
echo "INFO: Inference timings in us: Init: 12500, First inference: 900, Warmup (avg): 710.5, Inference (avg): 1234.5"
echo "INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion."
case $mode in
old) echo "Peak memory footprint (MB): init=0 overall=12.8672" ;;
nomemory) echo "INFO: Memory footprint delta from the start of the tool (MB): init=0 overall=0" ;;
*) echo "INFO: Memory footprint delta from the start of the tool (MB): init=3.25 overall=5.8125"
echo "INFO: Overall peak memory footprint (MB) via periodic monitoring: 9.5" ;;
esac
[ -z "$profiled" ] || [ $mode = old ] || cat <<END
INFO: Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
¦             [node type]¦  [first]¦ [avg ms]¦     [%]¦  [cdf%]¦  [mem KB]¦[times called]¦[Name]
¦ ModifyGraphWithDelegate¦   14.842¦   14.842¦ 99.317%¦ 99.317%¦  3428.000¦        1¦ModifyGraphWithDelegate/0

INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
¦             [node type]¦  [first]¦ [avg ms]¦     [%]¦  [cdf%]¦  [mem KB]¦[times called]¦[Name]
¦                 CONV_2D¦    4.269¦    3.000¦ 75.000%¦ 75.000%¦     0.000¦        1¦[layer0]:0
¦                 SOFTMAX¦    0.094¦    1.000¦ 25.000%¦100.000%¦     0.000¦        1¦[layer1/Softmax;more]:1

============================== Top by Computation Time ==============================
¦             [node type]¦  [first]¦ [avg ms]¦     [%]¦  [cdf%]¦  [mem KB]¦[times called]¦[Name]
¦                 CONV_2D¦    4.269¦    3.000¦ 75.000%¦ 75.000%¦     0.000¦        1¦[layer0]:0

Number of nodes executed: 2
============================== Summary by node type ==============================
¦             [Node type]¦  [count]¦  [avg ms]¦    [avg %]¦    [cdf %]¦  [mem KB]¦[times called]
¦                 CONV_2D¦        1¦     3.000¦    75.000%¦    75.000%¦     0.000¦        1
END
:
""".replace("¦", "\t")  # noqa: E501


def tool(folder: Path, mode: str = "good") -> Path:
    path = folder / f"benchmark_model-{mode}"
    path.write_text(TOOL.replace("MODE", mode))
    return path

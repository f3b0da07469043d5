// How the report looks.
#pragma once

#include <string_view>

namespace cytodet::pipeline {

inline constexpr std::string_view kReportStyle = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5d6670; --line: #d9dee3; --page: #fff; --bad: #b3261e; --good: #1d7a3e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ae; --line: #39424b; --page: #16191c; --bad: #ff8a80; --good: #7bd88f; } }
body { margin: 0; font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 22px; overflow-wrap: anywhere; margin: 0 0 16px; } h2 { font-size: 16px; margin: 36px 0 8px; }
.totals { list-style: none; display: flex; flex-wrap: wrap; gap: 12px 28px; margin: 0; padding: 0; color: var(--soft); }
.totals b { display: block; font-size: 22px; font-weight: 600; color: var(--ink); font-variant-numeric: tabular-nums; }
.totals i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 8px 0; }
th, td { text-align: left; padding: 4px 16px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); } .soft, .reason { color: var(--soft); }
.reason { display: inline-block; max-width: 420px; overflow-wrap: anywhere; } .warning { color: var(--bad); overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; } svg text { font-size: 12px; fill: var(--ink); } .grid { stroke: var(--line); fill: none; }
.bar { margin: 5px 0; } .key { display: flex; flex-wrap: wrap; gap: 4px 18px; } .key span { display: flex; align-items: center; gap: 5px; }
.p0 { fill: #8e9aa5; } .p1 { fill: #2f6fb0; } .p2 { fill: #55a3c9; } .p3 { fill: #d9822b; } .p4 { fill: #b8a12e; } .p5 { fill: #5a9e5a; } .p6 { fill: #9b6bb3; }
.pictures { display: flex; flex-wrap: wrap; gap: 20px; } figure { margin: 0; flex: 0 1 540px; } figure img { width: 100%; height: auto; border: 1px solid var(--line); }
h3 { font-size: 14px; margin: 28px 0 8px; overflow-wrap: anywhere; } .sheet { margin-top: 16px; } .sheet figure { max-width: 1072px; }
figcaption { color: var(--soft); overflow-wrap: anywhere; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: 12px; font-size: 12px; max-height: 480px; }
)css";

}  // namespace cytodet::pipeline

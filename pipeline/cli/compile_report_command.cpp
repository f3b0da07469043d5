// cytodet compile-report: what a network becomes, operator by operator.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/error.h"
#include "core/settings.h"
#include "core/text_width.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/graph_flags.h"
#include "pipeline/cli/input_shapes.h"
#include "pipeline/profile/compile_report.h"

namespace cytodet::pipeline {

std::function<int()> setup_compile_report(CLI::App& app) {
  struct Options {
    std::string graph, target = "cpu";
    std::vector<std::string> shapes;
    GraphFlags flags;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  app.add_option("GRAPH", o->graph, "Graph of any format that is read; for --target edgetpu a .tflite file")->required();
  app.add_option("--target", o->target,
                 "cpu (default): this program on this machine; edgetpu: a forecast by that compiler's rules");
  app.add_option("--shape", o->shapes, "Shape of an input: name=1,512,512,3");
  o->flags.add_changes(app);
  app.add_flag("--json", o->json, "JSON instead of text");
  return [o] {
    if (o->target != "cpu" && o->target != "edgetpu")
      throw UsageError("--target " + o->target, "there is no such target", "known are cpu and edgetpu");
    const CompileReport r =
        o->target == "cpu" ? compile_here(o->graph, o->flags.changes(), parse_shapes(o->shapes)) : forecast_edge_tpu_of(o->graph);
    const std::string text = o->json ? to_json(r).dump(1) + "\n" : printable_lines(to_text(r));
    std::fputs(text.c_str(), stdout);
    return 0;
  };
}

}  // namespace cytodet::pipeline

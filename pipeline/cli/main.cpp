#include "pipeline/cli/commands.h"

int main(int argc, char** argv) { return cytodet::pipeline::run_program(argc, argv); }

#include "pipeline/commands.h"

int main(int argc, char** argv) { return cytodet::run_program(argc, argv); }

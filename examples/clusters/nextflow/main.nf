// A part of the list per task. nextflow run main.nf --model model.json --slides slides --out out --parts 8
// All paths must be absolute. Parts are in params.out, not in Nextflow's work folders, so that a task that is tried again goes on.
nextflow.enable.dsl = 2
params.parts = 8
params.options = ''

process DETECT {
    errorStrategy 'retry'
    maxRetries 3

    input:
    val part

    output:
    val part

    script:
    """
    cytodet detect --model '${params.model}' '${params.slides}' -o '${params.out}/parts/${part}' \\
        --shard ${part}/${params.parts} --resume --quiet ${params.options} || [ \$? -eq 3 ]
    """
}

process COLLECT {
    input:
    val parts

    script:
    def folders = parts.sort().collect { "'${params.out}/parts/${it}'" }.join(' ')
    """
    cytodet collect ${folders} -o '${params.out}/run' || [ \$? -eq 3 ]
    """
}

workflow {
    COLLECT(DETECT(channel.of(1..(params.parts as int))).collect())
}

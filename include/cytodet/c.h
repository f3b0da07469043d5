/* cytodet finds cells on images and whole slides. This is the C interface of the shared library libcytodet: for C programs and
 * for bindings of other languages. C++ programs use cytodet/cytodet.h, which calls it.
 *
 * - Ownership: what a function with `create`, `open`, `parse`, `detect`, `network`, `run`, `evaluate`, `optimize`, `calibrate`
 *   or `quantize` in its name returns belongs to the caller, who releases it with the free function of its type. Free functions
 *   take NULL. Every other pointer that is returned belongs to the handle that was asked and is valid until that handle is
 *   freed. What the caller passes in is copied, or used during the call only.
 * - Errors: a function that can fail has `cytodet_error** error` as its last parameter. It returns NULL, or a status other than
 *   CYTODET_OK, when it fails, and then sets *error to an error that the caller frees. `error` may be NULL. *error is set to
 *   NULL when the function succeeds, so it need not be initialised. No C++ exception leaves the library, which writes nothing
 *   to standard output or standard error, and installs no signal handler. Functions that cannot fail return 0, NULL or "" for a
 *   NULL handle and for an index that is out of range.
 * - Threads: a handle may be used by several threads at once, as long as none of them frees it or changes it
 *   (cytodet_settings_set_* and cytodet_settings_add_*).
 * - Text: UTF-8 that ends in a zero byte. Paths are taken byte by byte as the file system has them.
 * - Pixels: level 0 is the full resolution of an image or slide; x counts to the right, y down, from the upper left corner of
 *   the slide's canvas. Boxes are in level-0 pixels; 0 is the left edge of the first pixel, 1 its right edge.
 * - Growth: structs that the caller fills in start with `struct_size`, set to sizeof of the struct: fields that a later version
 *   adds at their end are then known to be missing. Handles are opaque.
 */
#ifndef CYTODET_C_H
#define CYTODET_C_H

#include <stddef.h>
#include <stdint.h>

#include "cytodet/version.h"

#if defined(__GNUC__) || defined(__clang__)
#define CYTODET_API __attribute__((visibility("default")))
#else
#define CYTODET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version ---- */

/* CYTODET_C_API_VERSION of the loaded library. A binding refuses to work with a library whose number is not the one it was made
 * for. */
CYTODET_API int32_t cytodet_c_api_version(void);
/* "major.minor.patch" of the loaded library. */
CYTODET_API const char* cytodet_version(void);

/* ---- errors ---- */

/* The first values are the exit codes of the program `cytodet`. */
typedef enum cytodet_status {
  CYTODET_OK = 0,
  CYTODET_FAILED = 1,    /* a file, graph or slide cannot be used as it is */
  CYTODET_USAGE = 2,     /* the caller asked for something that cannot be: a NULL, a negative size, an unknown key */
  CYTODET_STOPPED = 4,   /* a callback asked to stop, and there is nothing to return */
  CYTODET_NO_MEMORY = 5, /* memory ran out */
  CYTODET_INTERNAL = 6   /* a mistake of the library */
} cytodet_status;

typedef struct cytodet_error cytodet_error;

CYTODET_API cytodet_status cytodet_error_status(const cytodet_error* error);
/* One line, "<where>: <problem>; <advice>", without the parts that are empty. */
CYTODET_API const char* cytodet_error_message(const cytodet_error* error);
/* The file, or the parameter or setting; then the place in it. May be "". */
CYTODET_API const char* cytodet_error_where(const cytodet_error* error);
/* What is wrong. */
CYTODET_API const char* cytodet_error_problem(const cytodet_error* error);
/* What to do. May be "". */
CYTODET_API const char* cytodet_error_advice(const cytodet_error* error);
CYTODET_API void cytodet_error_free(cytodet_error* error);

/* ---- settings ---- */

/* Names and values that a call takes; each function that takes settings lists its keys, and what it does without them. NULL in
 * the place of settings: all defaults. Keys of nested settings are joined by dots: "tiling.tile_px". Keys and values are checked
 * by the function that takes the settings: an unknown key is an error that names the nearest known one. */
typedef struct cytodet_settings cytodet_settings;

/* Empty settings; NULL when memory ran out. */
CYTODET_API cytodet_settings* cytodet_settings_create(void);
/* A copy of a JSON object: {"score": 0.4, "tiling": {"tile_px": 1024}}. At most 16 MiB. */
CYTODET_API cytodet_settings* cytodet_settings_parse(const char* json, cytodet_error** error);
/* Each replaces the value of the key. CYTODET_USAGE: a NULL, an empty part of a key, a number that is not finite. */
CYTODET_API cytodet_status cytodet_settings_set_text(cytodet_settings* settings, const char* key, const char* value);
CYTODET_API cytodet_status cytodet_settings_set_number(cytodet_settings* settings, const char* key, double value);
CYTODET_API cytodet_status cytodet_settings_set_flag(cytodet_settings* settings, const char* key, int value);
/* Appends to the list of the key. */
CYTODET_API cytodet_status cytodet_settings_add_text(cytodet_settings* settings, const char* key, const char* value);
CYTODET_API cytodet_status cytodet_settings_add_number(cytodet_settings* settings, const char* key, double value);
/* Lays the keys of a JSON object over the settings. */
CYTODET_API cytodet_status cytodet_settings_set_json(cytodet_settings* settings, const char* json, cytodet_error** error);
CYTODET_API void cytodet_settings_free(cytodet_settings* settings);

/* ---- models ---- */

/* A network that is ready to detect. Several threads may detect with one model at once: calls share its streams. A call on files,
 * and one on pixels that are cut into tiles, takes all streams and waits for them in the order of arrival; a call on small images
 * takes as many streams as it has images. */
typedef struct cytodet_model cytodet_model;

/* Opens a model file (.json, docs/model_file.md), or a graph (.pb, .onnx, .tflite, a SavedModel, ...; float or INT8) beside
 * which a model file of its name lies. Errors: a file that cannot be read, a graph that is not what the model file says, an
 * operation that is not known, a setting that is unknown or outside its range. Settings:
 * - streams: networks at work at once, 0 to 256; 0: one per usable core. Default 0
 * - threads_per_stream: threads inside one network, 1 to 256. Default 1
 * - precision: "graph", layers are computed as the graph has them; "bf16", float layers on bfloat16, an error on a CPU without
 *   it. Default "graph"
 * - score: lowest score of a detection, 0 to 1. Default: the model file's
 * - detections: highest number of detections of an image or tile, 1 or more. Default: the model file's
 * - nms: "hard" or "gaussian". Default: the model file's
 * - iou: boxes of a class that overlap more are suppressed, 0 to 1. Default: the model file's
 */
CYTODET_API cytodet_model* cytodet_model_open(const char* path, const cytodet_settings* settings, cytodet_error** error);
CYTODET_API const char* cytodet_model_name(const cytodet_model* model);
/* Side of the network's input, pixels. */
CYTODET_API int32_t cytodet_model_input_width(const cytodet_model* model);
CYTODET_API int32_t cytodet_model_input_height(const cytodet_model* model);
CYTODET_API int32_t cytodet_model_streams(const cytodet_model* model);
/* Lowest score of a detection; detections of all calls have at least this. */
CYTODET_API double cytodet_model_score(const cytodet_model* model);
CYTODET_API size_t cytodet_model_class_count(const cytodet_model* model);
/* By class index, 0 <= index < class count. */
CYTODET_API const char* cytodet_model_class_name(const cytodet_model* model, size_t index);
/* COCO's category id of a class; -1 where there is no such class. */
CYTODET_API int64_t cytodet_model_class_id(const cytodet_model* model, size_t index);
/* The score from which a detection of a class counts as a cell (docs/operating_point.md); 0.4 where the model file does not say.
 * Detection calls give those below it, too. */
CYTODET_API double cytodet_model_operating_score(const cytodet_model* model, size_t index);
CYTODET_API void cytodet_model_free(cytodet_model* model);

/* ---- detection ---- */

typedef struct cytodet_progress {
  size_t struct_size;
  size_t input;       /* index of the input at work */
  size_t inputs_done; /* inputs that are finished */
  size_t inputs;      /* all inputs; 0: not known */
  int64_t tiles_done; /* of the input at work */
  int64_t tiles;      /* of the input at work, those that are run */
} cytodet_progress;

/* Called while a call works, by threads of the library; must not call functions of the same model, nor throw. NULL functions are
 * not called. */
typedef struct cytodet_callbacks {
  size_t struct_size;
  void* user; /* passed on */
  /* After each tile, and when an input starts; by one thread at a time. */
  void (*progress)(void* user, const cytodet_progress* progress);
  /* Asked before each tile, by any thread, perhaps several at once. Not 0: the call ends soon, without the inputs that are not
   * finished. */
  int (*stop)(void* user);
  /* Not 0: of a call that is stopped the input at work comes, too, as CYTODET_INPUT_FAILED with the detections of the tiles that
   * were run. For cytodet_detect_files() and cytodet_detect_images(). */
  int keep_part;
} cytodet_callbacks;

typedef struct cytodet_detection {
  double x0, y0, x1, y1; /* level-0 pixels; x0 <= x1, y0 <= y1 */
  int64_t class_id;      /* COCO's category id */
  int32_t class_index;   /* from 0, see cytodet_results_class_name */
  float score;           /* 0 to 1 */
} cytodet_detection;

typedef enum cytodet_state { CYTODET_DONE = 0, CYTODET_INPUT_FAILED = 1, CYTODET_SKIPPED = 2 } cytodet_state;

/* What a call found: one result per input, in the order of the inputs. */
typedef struct cytodet_results cytodet_results;
/* Belongs to its results. */
typedef struct cytodet_result cytodet_result;

/* Detects on files: images, slides, folders (not the folders in them), patterns ("slides/" "*.svs"), lists ("@list.txt"). An
 * input that cannot be opened or read has a result of state CYTODET_INPUT_FAILED; it does not fail the call. Results do not
 * depend on streams and threads, which are the model's, as is the precision. Settings are the other keys of "detect" in a run
 * config (docs/detect.md); those used most:
 * - mode: "image", the whole image scaled down to the network's input; "slide", tiles; "auto", tiles when the file has several
 *   levels or a side longer than twice the input's, with the model file's input.placement "stretch" or "image" also longer than
 *   2048 pixels. Default "auto"
 * - tiling.tile_px: side of a tile, pixels of the working resolution. Default 640
 * - tiling.overlap_px: pixels that neighbouring tiles share. Default 160
 * - tiling.mpp: working resolution, micrometres per pixel; or tiling.level, a pyramid level; or tiling.scale, working pixels
 *   per level-0 pixel in (0, 1]. Default: level 0
 * - tiling.assume_mpp: micrometres per pixel of slides that do not say
 * - tiling.set_mpp: a list of one (square pixels) or two (x, y), micrometres per pixel whatever the slide says
 * - merge.method: how detections of overlapping tiles are joined: owner, nms, soft_nms, greedy_nmm, nmm, wbf. Default owner
 * - merge.iou: boxes that overlap more are one. Default 0.5
 * - score: detections with this score or less are left out; not below cytodet_model_score()
 * - roi: file or folder of regions of interest; detections outside are left out
 * - background: how tiles of bare glass, which are skipped, are found: none, otsu, variance. Default none
 * - max_bad_tiles: damaged tiles that a slide may have, a number or a share ("5%"). Default "5%"
 * - selection.page and others: which image of a file that holds several, see cytodet_slide_open()
 */
CYTODET_API cytodet_results* cytodet_detect_files(cytodet_model* model, const char* const* inputs, size_t count,
                                                  const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                                  cytodet_error** error);

/* Bytes of a pixel, in memory order. */
typedef enum cytodet_pixel_format { CYTODET_RGB8 = 1, CYTODET_BGR8 = 2, CYTODET_GRAY8 = 3 } cytodet_pixel_format;

/* An image in memory: row y starts at data + y * stride. */
typedef struct cytodet_image {
  size_t struct_size;
  const uint8_t* data; /* used during the call only */
  int64_t width;       /* pixels, 1 or more */
  int64_t height;      /* pixels, 1 or more */
  int64_t stride;      /* bytes from row to row, at least those of a row; 0: rows without padding */
  int32_t format;      /* cytodet_pixel_format */
  double mpp_x;        /* micrometres per pixel across; 0: not known */
  double mpp_y;        /* and down; 0: as across */
  const char* name;    /* for errors and results; NULL: "image <index>" */
} cytodet_image;

/* Detects on images in memory, as cytodet_detect_files() does on files that hold the same pixels. `images` are `count` structs
 * one behind the other, each of the struct_size of the first. CYTODET_USAGE: a NULL, a size that is not positive or too large, a
 * stride shorter than a row, an unknown format, an mpp that is negative or not finite. */
CYTODET_API cytodet_results* cytodet_detect_images(cytodet_model* model, const cytodet_image* images, size_t count,
                                                   const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                                   cytodet_error** error);

CYTODET_API size_t cytodet_results_count(const cytodet_results* results);
CYTODET_API const cytodet_result* cytodet_results_at(const cytodet_results* results, size_t index);
/* 1: the callback asked to stop; inputs that were not finished have no result. */
CYTODET_API int cytodet_results_stopped(const cytodet_results* results);
CYTODET_API size_t cytodet_results_class_count(const cytodet_results* results);
CYTODET_API const char* cytodet_results_class_name(const cytodet_results* results, size_t class_index);
CYTODET_API void cytodet_results_free(cytodet_results* results);

/* The path of the file, or the name of the image. */
CYTODET_API const char* cytodet_result_name(const cytodet_result* result);
CYTODET_API cytodet_state cytodet_result_state(const cytodet_result* result);
/* Why an input was skipped; "" otherwise. */
CYTODET_API const char* cytodet_result_skip_reason(const cytodet_result* result);
/* Why the input failed; NULL if it did not. Belongs to the result: it is not freed. */
CYTODET_API const cytodet_error* cytodet_result_error(const cytodet_result* result);
/* Level-0 pixels; 0 where the input could not be opened. */
CYTODET_API int64_t cytodet_result_width(const cytodet_result* result);
CYTODET_API int64_t cytodet_result_height(const cytodet_result* result);
/* Micrometres per level-0 pixel, across and down; 0: not known. */
CYTODET_API double cytodet_result_mpp_x(const cytodet_result* result);
CYTODET_API double cytodet_result_mpp_y(const cytodet_result* result);
/* Tiles of the grid, those that were run, and those of them that are damaged. */
CYTODET_API int64_t cytodet_result_tiles(const cytodet_result* result);
CYTODET_API int64_t cytodet_result_tiles_run(const cytodet_result* result);
CYTODET_API int64_t cytodet_result_bad_tiles(const cytodet_result* result);
CYTODET_API size_t cytodet_result_warning_count(const cytodet_result* result);
CYTODET_API const char* cytodet_result_warning(const cytodet_result* result, size_t index);
/* Ranked: highest score first. An array of detection_count structs; NULL where there is none. Its layout does not change within a
 * CYTODET_C_API_VERSION. */
CYTODET_API size_t cytodet_result_detection_count(const cytodet_result* result);
CYTODET_API const cytodet_detection* cytodet_result_detections(const cytodet_result* result);

/* Detections in memory, of any origin, of one image. Classes are numbered from 0 by `class_index`; `class_id` of the detections
 * of one class_index is one. */
typedef struct cytodet_image_detections {
  size_t struct_size;
  const char* name; /* path or name of the image */
  int64_t width;    /* level-0 pixels; 0: not known */
  int64_t height;
  const cytodet_detection* detections; /* `count` of them */
  size_t count;
} cytodet_image_detections;

/* Writes all given detections of one image to a file, whose name says in which form (docs/export.md). `cytodet export` and run
 * folders leave out those below cytodet_model_operating_score(): give the others alone for the same numbers of cells. Forms:
 * .geojson, .geojson.gz, .csv, .excel.csv, .coco.json, .heatmap.png, .crops.png, .summary.json, other .json (box list). The image
 * is opened where a form wants its pixels or what was scanned of it and a file `name` exists. `classes`: names by class_index;
 * NULL: there are none. CYTODET_USAGE: a form that is not known, a class_index that is negative or above 9999, the file is the
 * image. Settings:
 * - image_id: COCO's, 0 or more. Default 1
 * - origin: where GeoJSON counts from: "bounds", the corner of what was scanned; "slide", that of the canvas. Default "bounds"
 * - crops: crops of a class on a contact sheet. Default 24
 */
CYTODET_API cytodet_status cytodet_write_detections(const cytodet_image_detections* image, const char* const* classes,
                                                    size_t class_count, const char* path, const cytodet_settings* settings,
                                                    cytodet_error** error);

/* ---- tensors ---- */

/* TensorFlow's numbers of element types. The q types hold the quantized values of the plain type of their width. */
typedef enum cytodet_dtype {
  CYTODET_FLOAT32 = 1,
  CYTODET_FLOAT64 = 2,
  CYTODET_INT32 = 3,
  CYTODET_UINT8 = 4,
  CYTODET_INT16 = 5,
  CYTODET_INT8 = 6,
  CYTODET_STRING = 7, /* of descriptions only: texts are neither fed nor fetched */
  CYTODET_INT64 = 9,
  CYTODET_BOOL = 10,
  CYTODET_QINT8 = 11,
  CYTODET_QUINT8 = 12,
  CYTODET_QINT32 = 13,
  CYTODET_BFLOAT16 = 14,
  CYTODET_QINT16 = 15,
  CYTODET_QUINT16 = 16,
  CYTODET_UINT16 = 17,
  CYTODET_FLOAT16 = 19,
  CYTODET_UINT32 = 22,
  CYTODET_UINT64 = 23
} cytodet_dtype;

/* Values, or the description of an input or output, which has none. */
typedef struct cytodet_tensor {
  size_t struct_size;
  const char* name;     /* of the node that is fed or fetched, "name" or "name:slot" */
  int32_t dtype;        /* cytodet_dtype; 0: not known */
  int32_t rank;         /* number of dimensions, 0 to 8; -1: not known */
  const int64_t* shape; /* `rank` sizes, outermost first; -1: left open */
  const void* data;     /* row-major; NULL: a description */
  size_t size;          /* bytes at data */
} cytodet_tensor;

typedef struct cytodet_tensors cytodet_tensors;
CYTODET_API size_t cytodet_tensors_count(const cytodet_tensors* tensors);
CYTODET_API const cytodet_tensor* cytodet_tensors_at(const cytodet_tensors* tensors, size_t index);
CYTODET_API void cytodet_tensors_free(cytodet_tensors* tensors);

/* What the model's network gives for an image: its outputs as they are before boxes are made of them, each [1, ...]. The image
 * is resized, placed and normalised as the model file's "input" says (docs/model_file.md), as detection does with an image that
 * is not cut into tiles. Takes one of the model's streams. Errors: as cytodet_detect_images(). */
CYTODET_API cytodet_tensors* cytodet_model_network(cytodet_model* model, const cytodet_image* image, cytodet_error** error);
/* The same for an input that is made already: float32 [1, height, width, 3], or bytes where the graph takes bytes.
 * CYTODET_USAGE: another type or shape; the error says which is expected. */
CYTODET_API cytodet_tensors* cytodet_model_network_on(cytodet_model* model, const cytodet_tensor* input, cytodet_error** error);

/* ---- run folders ---- */

/* How a run ended. */
typedef struct cytodet_run_summary cytodet_run_summary;

/* Detects on `inputs` as cytodet_detect_files() does and writes the run folder `folder`, as `cytodet detect -o` does: boxes of
 * every slide, detections.json (COCO), run.json (docs/detect.md). Safe against an end at any moment; `resume` goes on. Inputs
 * that fail are counted in the summary. Settings:
 * - detect.KEY: as of cytodet_detect_files()
 * - resume: true, slides that an earlier call finished with the same settings are kept. Default false
 * - overwrite: true, also replaces results of versions that kept no list of their files. Default false
 * - shard: "i/n", only every n-th slide of the list, from the i-th (from 1) on
 * - mask_image: true, also an image per slide of what the background method skips. Default false
 * - truth, overlay, overlay_score, overlay_format, outputs, density_area, operating_score: as in a run config
 *
 * Errors: nothing to do, another process at work in the folder, a file that would be written over one that is not the run's,
 * run.json cannot be written. */
CYTODET_API cytodet_run_summary* cytodet_run(cytodet_model* model, const char* const* inputs, size_t count, const char* folder,
                                             const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                             cytodet_error** error);
CYTODET_API int64_t cytodet_run_summary_done(const cytodet_run_summary* summary);
CYTODET_API int64_t cytodet_run_summary_failed(const cytodet_run_summary* summary);
CYTODET_API int64_t cytodet_run_summary_skipped(const cytodet_run_summary* summary);
/* Not begun or not finished: the call was stopped, or the disk is full. */
CYTODET_API int64_t cytodet_run_summary_waiting(const cytodet_run_summary* summary);
CYTODET_API int64_t cytodet_run_summary_detections(const cytodet_run_summary* summary);
/* 1: the callback asked to stop. */
CYTODET_API int cytodet_run_summary_stopped(const cytodet_run_summary* summary);
/* Errors of slides, and warnings, in the order in which they came. */
CYTODET_API size_t cytodet_run_summary_message_count(const cytodet_run_summary* summary);
CYTODET_API const char* cytodet_run_summary_message(const cytodet_run_summary* summary, size_t index);
CYTODET_API void cytodet_run_summary_free(cytodet_run_summary* summary);

/* ---- slides ---- */

/* An image or slide file of any size. Several threads may read from one slide at once. */
typedef struct cytodet_slide cytodet_slide;

/* Opens a file by its content, whatever its name. Settings choose among the images of a file that holds several; numbers count
 * from 0, and what is not given is the only one, or the one that the format means:
 * - series, page, plane (focal), time: numbers
 * - channel: number or name of one channel, shown as gray; or three with commas: red, green, blue
 * - stretch: how samples of other depths become 8 bits: "none", "auto", a number of bits, "MIN,MAX". Default "none"
 */
CYTODET_API cytodet_slide* cytodet_slide_open(const char* path, const cytodet_settings* settings, cytodet_error** error);
/* Name of the format that read it: "svs", "tiff", "jpeg", ... */
CYTODET_API const char* cytodet_slide_format(const cytodet_slide* slide);
/* Size of level 0, pixels. */
CYTODET_API int64_t cytodet_slide_width(const cytodet_slide* slide);
CYTODET_API int64_t cytodet_slide_height(const cytodet_slide* slide);
/* At least 1; level 0 is the largest. */
CYTODET_API int32_t cytodet_slide_level_count(const cytodet_slide* slide);
CYTODET_API int64_t cytodet_slide_level_width(const cytodet_slide* slide, int32_t level);
CYTODET_API int64_t cytodet_slide_level_height(const cytodet_slide* slide, int32_t level);
/* Level-0 pixels per pixel of the level. */
CYTODET_API double cytodet_slide_level_downsample(const cytodet_slide* slide, int32_t level);
/* Micrometres per level-0 pixel, across and down; 0: the file does not say. */
CYTODET_API double cytodet_slide_mpp_x(const cytodet_slide* slide);
CYTODET_API double cytodet_slide_mpp_y(const cytodet_slide* slide);
/* The property of the file that gave them, and why they may be wrong; "" where there is nothing to say. */
CYTODET_API const char* cytodet_slide_mpp_source(const cytodet_slide* slide);
CYTODET_API const char* cytodet_slide_mpp_warning(const cytodet_slide* slide);
/* What was scanned of a larger canvas, level-0 pixels, into bounds[0..3]: x, y, width, height. Returns 1 where the file says it;
 * else 0, and bounds are those of level 0. */
CYTODET_API int cytodet_slide_bounds(const cytodet_slide* slide, int64_t* bounds);
CYTODET_API size_t cytodet_slide_warning_count(const cytodet_slide* slide);
CYTODET_API const char* cytodet_slide_warning(const cytodet_slide* slide, size_t index);

/* Reads the pixels [x, x + width) x [y, y + height) of a level, in pixels of that level, into rgb: rows of width * 3 bytes (red,
 * green, blue), each at rgb + row * stride; stride 0: rows without padding. Outside the slide is white. `size`: bytes at rgb, of
 * which none beyond is written. Errors: CYTODET_USAGE, no such level, width or height not positive, a buffer that is too small;
 * CYTODET_FAILED, stored data that is damaged. */
CYTODET_API cytodet_status cytodet_slide_read(const cytodet_slide* slide, int32_t level, int64_t x, int64_t y, int32_t width,
                                              int32_t height, uint8_t* rgb, int64_t stride, size_t size, cytodet_error** error);
/* Reads the area [x0, x1) x [y0, y1) of level-0 pixels as an image of width x height pixels, from the coarsest level that is no
 * coarser than the image: shrinking takes the mean, enlarging is bilinear. Otherwise as cytodet_slide_read(). */
CYTODET_API cytodet_status cytodet_slide_read_scaled(const cytodet_slide* slide, double x0, double y0, double x1, double y1,
                                                     int32_t width, int32_t height, uint8_t* rgb, int64_t stride, size_t size,
                                                     cytodet_error** error);
CYTODET_API void cytodet_slide_free(cytodet_slide* slide);

/* ---- evaluation ---- */

/* COCO ground truth: images, categories, annotated boxes. */
typedef struct cytodet_ground_truth cytodet_ground_truth;

/* Reads a COCO file. Errors: a file that cannot be read, or that is no ground truth; the message names the element. */
CYTODET_API cytodet_ground_truth* cytodet_ground_truth_open(const char* path, cytodet_error** error);
/* Parses a COCO ground truth from JSON text, UTF-8. Errors: as cytodet_ground_truth_open(). */
CYTODET_API cytodet_ground_truth* cytodet_ground_truth_parse(const char* json, cytodet_error** error);
CYTODET_API size_t cytodet_ground_truth_image_count(const cytodet_ground_truth* ground_truth);
CYTODET_API size_t cytodet_ground_truth_annotation_count(const cytodet_ground_truth* ground_truth);
CYTODET_API void cytodet_ground_truth_free(cytodet_ground_truth* ground_truth);

/* Figures of detections against a ground truth. */
typedef struct cytodet_scores cytodet_scores;

/* COCO's box figures, as pycocotools' COCOeval computes them (Lin et al., "Microsoft COCO", 2014;
 * cocodataset.org/#detection-eval). Detections come from a COCO results file (also detections.json of a run folder), from its
 * text, or from results of cytodet_detect_files(), whose files are found in the ground truth by the ends of their paths. Images
 * of the ground truth without detections count as missed. Errors: a file that cannot be read, an image or class that the ground
 * truth lacks, a setting that is unknown. Settings:
 * - max_dets: list of ascending numbers, detections per image and class that are scored; AP is at the last. Default 1, 10, 100
 * - pooled: true, all classes as one. Default false
 * - roi, roi_class, roi_ignore, origin: only what lies in these regions of interest is scored, as in "detect" of a run config
 */
CYTODET_API cytodet_scores* cytodet_evaluate_file(const cytodet_ground_truth* ground_truth, const char* detections,
                                                  const cytodet_settings* settings, cytodet_error** error);
CYTODET_API cytodet_scores* cytodet_evaluate_json(const cytodet_ground_truth* ground_truth, const char* detections,
                                                  const cytodet_settings* settings, cytodet_error** error);
CYTODET_API cytodet_scores* cytodet_evaluate_results(const cytodet_ground_truth* ground_truth, const cytodet_results* results,
                                                     const cytodet_settings* settings, cytodet_error** error);

/* Evaluates detections in memory, of any origin. Images are found in the ground truth by the ends of their names, classes by
 * class_id; by their names, which `classes` gives by class_index, where the ground truth's category ids are texts. `classes` may
 * be NULL. Settings and errors: as above. */
CYTODET_API cytodet_scores* cytodet_evaluate_detections(const cytodet_ground_truth* ground_truth,
                                                        const cytodet_image_detections* images, size_t count,
                                                        const char* const* classes, size_t class_count,
                                                        const cytodet_settings* settings, cytodet_error** error);

/* COCO's figures in COCO's order: AP, AP50, AP75, APs, APm, APl, one AR per number of max_dets (AR1, AR10, AR100), ARs, ARm, ARl:
 * 12 of them with the default max_dets. A value is 0 to 1; -1: nothing to score. */
CYTODET_API size_t cytodet_scores_count(const cytodet_scores* scores);
CYTODET_API const char* cytodet_scores_name(const cytodet_scores* scores, size_t index);
CYTODET_API double cytodet_scores_value(const cytodet_scores* scores, size_t index);
/* Per class, in the order of the ground truth's category ids (one class, "all", where pooled); annotations: those that count. */
CYTODET_API size_t cytodet_scores_class_count(const cytodet_scores* scores);
CYTODET_API const char* cytodet_scores_class_name(const cytodet_scores* scores, size_t index);
CYTODET_API int64_t cytodet_scores_class_annotations(const cytodet_scores* scores, size_t index);
CYTODET_API double cytodet_scores_class_ap(const cytodet_scores* scores, size_t index);
CYTODET_API double cytodet_scores_class_ap50(const cytodet_scores* scores, size_t index);
CYTODET_API double cytodet_scores_class_ap75(const cytodet_scores* scores, size_t index);
CYTODET_API double cytodet_scores_class_ar(const cytodet_scores* scores, size_t index);
CYTODET_API size_t cytodet_scores_warning_count(const cytodet_scores* scores);
CYTODET_API const char* cytodet_scores_warning(const cytodet_scores* scores, size_t index);
CYTODET_API void cytodet_scores_free(cytodet_scores* scores);

/* ---- graphs ---- */

/* What became of a graph. */
typedef struct cytodet_graph_report cytodet_graph_report;

/* Rewrites the TensorFlow graph `graph` (.pb, .pbtxt, a SavedModel or a checkpoint) into the file `out` as `cytodet optimize`
 * does: strips it, folds constants and batch norms; the answers stay. Errors: a file that cannot be read or written, unknown
 * nodes or passes, answers that differ. Settings:
 * - inputs: list of nodes that are fed; the graph is cut there. Default: the graph's placeholders
 * - outputs: list of nodes that are fetched. Default: nodes that nobody reads
 * - passes: list of passes that are run. Default: all
 * - without: list of passes that are not run
 * - check: false, the answers are not compared with the source's before the file is written. Default true
 */
CYTODET_API cytodet_graph_report* cytodet_optimize(const char* graph, const char* out, const cytodet_settings* settings,
                                                   cytodet_error** error);
/* Runs the images in the folder `images` (for a graph without a model file: feeds) through the network and writes the ranges of
 * its values to `out` (.json), as `cytodet calibrate` does. Images that cannot be read are named in the report's messages.
 * Errors: a model or folder that cannot be read, no image that can be, a result that cannot be written. Settings:
 * - method: minmax, percentile, entropy, mse. Default minmax
 * - percentile: of method percentile, 50 to 100. Default 99.9999
 * - per_channel: false, no ranges of single channels. Default true
 * - max_images: evenly spaced over the sorted list, 1 or more. Default 100
 * - streams: networks at work at once; 0: one per usable core. Default 0
 */
CYTODET_API cytodet_graph_report* cytodet_calibrate(const char* model, const char* images, const char* out,
                                                    const cytodet_settings* settings, cytodet_error** error);
/* cytodet_calibrate() with callbacks: progress is counted in inputs; when `stop` returns not 0, the call ends with
 * CYTODET_STOPPED and nothing is written. */
CYTODET_API cytodet_graph_report* cytodet_calibrate_folder(const char* model, const char* images, const char* out,
                                                           const cytodet_settings* settings, const cytodet_callbacks* callbacks,
                                                           cytodet_error** error);
/* Calibrates on images in memory, which stand for whole images of a detection model: `images` as of cytodet_detect_images(), all
 * of which are used. Settings: those of cytodet_calibrate() without max_images. */
CYTODET_API cytodet_graph_report* cytodet_calibrate_images(const char* model, const cytodet_image* images, size_t count,
                                                           const char* out, const cytodet_settings* settings,
                                                           const cytodet_callbacks* callbacks, cytodet_error** error);
/* Writes the network with INT8 layers to `out` (.pb), and for a model its model file beside it, as `cytodet quantize` does.
 * Errors: a file that cannot be read or written, ranges of another network, answers that differ too much. Settings are the keys
 * of "quantize" in a run config (docs/quantize.md) without max_drop; those used most:
 * - images: folder of images to calibrate on; or ranges: file that cytodet_calibrate() wrote
 * - method: auto (minmax, or mse where held-back images gain by it), or as of cytodet_calibrate(). Default auto
 * - max_images, percentile: as of cytodet_calibrate()
 * - exclude_ops, exclude_nodes: lists of what stays in float
 * - check: false, the file is not run beside the network before it is written. Default true
 */
CYTODET_API cytodet_graph_report* cytodet_quantize(const char* model, const char* out, const cytodet_settings* settings,
                                                   cytodet_error** error);
/* cytodet_quantize() with callbacks for its calibration, as of cytodet_calibrate_folder(); what follows it is not stopped. */
CYTODET_API cytodet_graph_report* cytodet_quantize_watched(const char* model, const char* out, const cytodet_settings* settings,
                                                           const cytodet_callbacks* callbacks, cytodet_error** error);
/* Nodes of the graph before and after cytodet_optimize(). */
CYTODET_API int64_t cytodet_graph_report_nodes_before(const cytodet_graph_report* report);
CYTODET_API int64_t cytodet_graph_report_nodes_after(const cytodet_graph_report* report);
/* cytodet_calibrate(): values whose range is known, and images that were used. */
CYTODET_API int64_t cytodet_graph_report_ranges(const cytodet_graph_report* report);
CYTODET_API int64_t cytodet_graph_report_images(const cytodet_graph_report* report);
/* cytodet_quantize(): convolutions, matrix products and the layers beside them, and how many of these are INT8. */
CYTODET_API int64_t cytodet_graph_report_layers(const cytodet_graph_report* report);
CYTODET_API int64_t cytodet_graph_report_int8_layers(const cytodet_graph_report* report);
/* Warnings. */
CYTODET_API size_t cytodet_graph_report_message_count(const cytodet_graph_report* report);
CYTODET_API const char* cytodet_graph_report_message(const cytodet_graph_report* report, size_t index);
CYTODET_API void cytodet_graph_report_free(cytodet_graph_report* report);

/* A graph of any format that is read, to look into and to run on any inputs. Several threads may run one graph at once. */
typedef struct cytodet_graph cytodet_graph;

/* Opens a frozen graph (.pb, .pbtxt), a SavedModel, a checkpoint, an ONNX or a TensorFlow Lite model. Errors: a file
 * that cannot be read. Settings:
 * - threads: threads inside the network, 1 to 256. Default 1
 * - precision: "graph" or "bf16", as of cytodet_model_open(). Default "graph"
 * - plain: true, the plain interpreter instead of the kernels. Default false
 * - sizes: {"NAME": [1, 224, 224, 3]}, sizes of inputs that the file leaves open
 * - set: list of "NAME=VALUE", placeholders that are constants
 */
CYTODET_API cytodet_graph* cytodet_graph_open(const char* path, const cytodet_settings* settings, cytodet_error** error);
/* Descriptions of what is fed and fetched; outputs are the nodes that nobody reads. */
CYTODET_API size_t cytodet_graph_input_count(const cytodet_graph* graph);
CYTODET_API const cytodet_tensor* cytodet_graph_input(const cytodet_graph* graph, size_t index);
CYTODET_API size_t cytodet_graph_output_count(const cytodet_graph* graph);
CYTODET_API const cytodet_tensor* cytodet_graph_output(const cytodet_graph* graph, size_t index);
/* What `cytodet inspect --json` prints: nodes, ops, parameters, multiply-accumulates, shapes. */
CYTODET_API const char* cytodet_graph_description(const cytodet_graph* graph);
/* Runs the graph on `feeds`, one for each input that the outputs need, and fetches `outputs` ("name" or "name:slot"; NULL: all of
 * cytodet_graph_output). The graph is compiled when feeds of new shapes or other outputs come. CYTODET_USAGE: a feed that is
 * missing, of another type, rank or size than the graph's, or whose size in bytes is not that of its shape.
 * CYTODET_FAILED: a node that is not known or cannot be computed. */
CYTODET_API cytodet_tensors* cytodet_graph_run(cytodet_graph* graph, const cytodet_tensor* feeds, size_t count,
                                               const char* const* outputs, size_t output_count, cytodet_error** error);
/* cytodet_graph_run() with callbacks: when `stop`, which is asked between the steps of the network, returns not 0, the call ends
 * with CYTODET_STOPPED. `progress` is not called. */
CYTODET_API cytodet_tensors* cytodet_graph_run_watched(cytodet_graph* graph, const cytodet_tensor* feeds, size_t count,
                                                       const char* const* outputs, size_t output_count,
                                                       const cytodet_callbacks* callbacks, cytodet_error** error);
CYTODET_API void cytodet_graph_free(cytodet_graph* graph);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif

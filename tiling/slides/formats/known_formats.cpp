#include "tiling/slides/formats/known_formats.h"

#include <algorithm>
#include <optional>

#include "core/ascii.h"
#include "core/error.h"
#include "core/stray_text.h"
#include "tiling/slides/formats/format_entries.h"
#include "tiling/slides/formats/slide_parts.h"
#include "tiling/slides/formats/split_pieces.h"

namespace cytodet::tiling {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr const char* kConvertSlide =
    "convert it to a tiled TIFF or OME-TIFF of 8-bit RGB, with QuPath or Bio-Formats' bfconvert";
constexpr const char* kSave = "save it as PNG, JPEG or TIFF";
constexpr const char* kUnpack = "unpack it and name the slide in it";
constexpr bool kAlone = true;
constexpr FormatUse kImage = FormatUse::image, kSlide = FormatUse::slide, kStrict = FormatUse::strict,
                    kUnread = FormatUse::unread;

// Entries whose `what` is empty are said to be "NAME, which is not read".
constexpr KnownFormat kKnownFormats[] = {
    {"JPEG", "jpg jpeg jpe jfif", {{{0, "\xff\xd8\xff"sv}}}, kImage, "", "", kAlone},
    {"PNG", "png", {{{0, "\x89PNG"sv}}}, kImage, "", "", kAlone},
    {"BMP", "bmp dib", {{{0, "BM"sv}}}, kImage, "", "", kAlone},
    {"TIFF",
     "tif tiff btf tf2 tf8 ome.tif ome.tiff ome.btf lsm stk flex qptiff",
     {{{0, "II\x2a\0"sv}, {0, "MM\0\x2a"sv}, {0, "II\x2b\0"sv}, {0, "MM\0\x2b"sv}}},
     kSlide,
     "",
     "",
     kAlone},
    {"Aperio SVS", "svs", {}, kSlide, "", ""},
    {"KFBio KFB", "kfb", {{{0, "\xf1\x01\xee\xeeKFB"sv}}}, kStrict, "", "", kAlone},
    {"Hamamatsu NDPI", "ndpi", {}, kStrict, "", ""},
    {"Hamamatsu VMS", "vms", {}, kStrict, "", ""},
    {"Hamamatsu VMU", "vmu", {}, kStrict, "", ""},
    {"Leica SCN", "scn", {}, kStrict, "", ""},
    {"MIRAX", "mrxs", {}, kStrict, "", ""},
    {"Sakura", "svslide", {}, kStrict, "", ""},
    {"Ventana BIF", "bif", {}, kStrict, "", ""},

    {"Olympus VSI", "vsi", {}, kUnread, "", kConvertSlide},
    {"Olympus ETS",
     "ets",
     {{{0, "SIS\0"sv}}},
     kUnread,
     "is the image data of an Olympus slide (ETS), which is not read",
     kConvertSlide},
    {"Olympus OIF", "oif", {}, kUnread, "", kConvertSlide},
    {"Olympus OIR", "oir", {{{0, "OLYMPUSRAWFORMAT"sv}}}, kUnread, "", kConvertSlide},
    {"Zeiss CZI", "czi", {{{0, "ZISRAWFILE"sv}}}, kUnread, "", kConvertSlide, kAlone},
    {"Zeiss ZVI, Olympus OIB or another OLE document",
     "zvi oib",
     {{{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv}}},
     kUnread,
     "",
     kConvertSlide},
    {"Leica LIF", "lif lof xlef", {{{0, "\x70\0\0\0"sv}}}, kUnread, "", kConvertSlide},
    {"Nikon ND2", "nd2", {{{0, "\xda\xce\xbe\x0a"sv}}}, kUnread, "", kConvertSlide},
    {"Philips iSyntax", "isyntax i2syntax", {{{0, "<DataObject"sv}}}, kUnread, "", kConvertSlide},
    {"DICOM",
     "dcm dicom",
     {{{128, "DICM"sv}}},
     kUnread,
     "",
     "convert it to a tiled TIFF, with QuPath or Bio-Formats' bfconvert",
     kAlone},
    {"Sqray SDPC", "sdpc", {}, kUnread, "", "export it as SVS or TIFF with the scanner's program"},
    {"Motic MDS", "mds mdsx", {}, kUnread, "", "export it as SVS or TIFF with the scanner's program"},
    {"TRON", "tron", {}, kUnread, "", "export it as SVS or TIFF with the scanner's program"},
    {"UNIC TMAP", "tmap", {}, kUnread, "", "export it as SVS or TIFF with the scanner's program"},
    {"Hamamatsu NDPIS",
     "ndpis",
     {{{0, "[NanoZoomer Digital Pathology Image Set]"sv}}},
     kUnread,
     "is a list of Hamamatsu slides, one a channel (NDPIS)",
     "name one of the .ndpi files in it"},
    {"Aperio AFI", "afi", {}, kUnread, "is a list of Aperio slides, one a channel (AFI)", "name one of the .svs files in it"},
    {"Deep Zoom", "dzi dzc", {}, kUnread, "", kConvertSlide},
    {"OME-Zarr", "zarr", {}, kUnread, "", kConvertSlide},
    {"OME-XML",
     "companion.ome ome ome.xml",
     {},
     kUnread,
     "is the companion of OME-TIFFs and holds no pixels (OME-XML)",
     "name the .ome.tif files beside it"},
    {"Imaris or another HDF5 file", "ims h5 hdf5", {{{0, "\x89HDF"sv}}}, kUnread, "", kConvertSlide},
    {"a camera's raw image", "dng nef cr2 cr3 arw orf rw2", {}, kUnread, "", kSave},
    {"JPEG 2000",
     "jp2 j2k jpx jpf jpc j2c",
     {{{0, "\0\0\0\x0cjP  "sv}, {0, "\xff\x4f\xff\x51"sv}}},
     kUnread,
     "",
     "save it as PNG or a tiled TIFF",
     kAlone},
    {"JPEG XL", "jxl", {{{0, "\xff\x0a"sv}, {0, "\0\0\0\x0cJXL "sv}}}, kUnread, "", kSave},
    {"JPEG XR", "jxr wdp hdp", {{{0, "II\xbc"sv}}}, kUnread, "", kSave},
    {"WebP", "webp", {{{8, "WEBP"sv}}}, kUnread, "", kSave, kAlone},
    {"GIF", "gif", {{{0, "GIF8"sv}}}, kUnread, "", kSave, kAlone},
    {"HEIC, AVIF or a video", "heic heif avif mp4 mov avi", {{{4, "ftyp"sv}, {8, "AVI "sv}}}, kUnread, "", kSave},
    {"Photoshop", "psd psb", {{{0, "8BPS"sv}}}, kUnread, "", kSave},
    {"PDF", "pdf", {{{0, "%PDF"sv}}}, kUnread, "", kSave},
    {"Targa", "tga", {}, kUnread, "", kSave},
    {"Netpbm", "ppm pgm pbm pnm", {{{0, "P6\n"sv}, {0, "P5\n"sv}, {0, "P4\n"sv}}}, kUnread, "", kSave},
    {"OpenEXR", "exr", {{{0, "\x76\x2f\x31\x01"sv}}}, kUnread, "", kSave},

    {"zip", "zip ome.zarr.zip", {{{0, "PK\x03\x04"sv}}}, kUnread, "is packed (zip)", kUnpack},
    {"gzip", "gz tgz", {{{0, "\x1f\x8b"sv}}}, kUnread, "is packed (gzip)", kUnpack},
    {"bzip2", "bz2", {{{0, "BZh"sv}}}, kUnread, "is packed (bzip2)", kUnpack},
    {"xz",
     "xz",
     {{{0,
        "\xfd"
        "7zXZ\0"sv}}},
     kUnread,
     "is packed (xz)",
     kUnpack},
    {"Zstandard", "zst", {{{0, "\x28\xb5\x2f\xfd"sv}}}, kUnread, "is packed (Zstandard)", kUnpack},
    {"7-Zip", "7z", {{{0, "7z\xbc\xaf\x27\x1c"sv}}}, kUnread, "is packed (7-Zip)", kUnpack},
    {"RAR", "rar", {{{0, "Rar!"sv}}}, kUnread, "is packed (RAR)", kUnpack},
    {"tar", "tar", {{{257, "ustar"sv}}}, kUnread, "is packed (tar)", kUnpack},

    {"DVC", "dvc", {}, kUnread, "is a DVC pointer, not the file", "fetch the file itself: dvc pull"},
    {"AppleDouble",
     "",
     {{{0, "\0\x05\x16\x07"sv}, {0, "\0\x05\x16\0"sv}}},
     kUnread,
     "is what macOS keeps beside a file (AppleDouble), not the file",
     "name the file without ._ in front"},
    {"iCloud",
     "icloud",
     {},
     kUnread,
     "is a placeholder of iCloud: the file is not on this disk",
     "download the file itself, then start again"},
    {"shortcut",
     "lnk url webloc",
     {{{0, "\x4c\0\0\0\x01\x14\x02\0"sv}, {0, "[InternetShortcut]"sv}, {0, "book\0\0\0\0mark"sv}}},
     kUnread,
     "is a shortcut, not the file",
     "name the file that it points to"},
    {"unfinished download",
     "part partial crdownload download filepart opdownload aria2 !ut !qb",
     {},
     kUnread,
     "is an unfinished download",
     "finish the download, then name the file itself"},
};

bool holds(const KnownFormat& f, std::span<const uint8_t> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  return std::any_of(f.magic.begin(), f.magic.end(), [&](const Magic& m) {
    return !m.bytes.empty() && text.size() >= m.offset && text.substr(m.offset).starts_with(m.bytes);
  });
}

// Length of the entry's longest extension that the name ends with; 0: none.
size_t called(const KnownFormat& f, const std::string& name) {
  size_t longest = 0;
  for (std::string_view rest = f.extensions; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (name.ends_with(std::string(".") + std::string(one))) longest = std::max(longest, one.size());
  }
  return longest;
}

std::string extension_of(const fs::path& path) { return path.extension().string(); }

[[noreturn]] void refuse(const KnownFormat& f) {
  throw Error("", *f.what ? f.what : "is " + std::string(f.name) + ", which is not read", f.advice);
}

const KnownFormat& named(std::string_view name) {
  return *std::find_if(std::begin(kKnownFormats), std::end(kKnownFormats), [&](const KnownFormat& f) { return f.name == name; });
}

// What servers and programs write under the name of a slide.
void refuse_markup(std::span<const uint8_t> head, bool as_slide) {
  const std::string_view bytes(reinterpret_cast<const char*>(head.data()), head.size());
  if (const std::optional<StrayText> stray = stray_text(bytes))
    throw Error("", std::string("is ") + stray->name + ", not a slide", stray->advice);
  const std::string text = ascii_head(bytes);
  if (!text.starts_with("<") && !(as_slide && text.starts_with("{"))) return;
  if (text.find("openmicroscopy.org/schemas/ome") != std::string::npos) refuse(named("OME-XML"));
  if (text.find("<dataobject") != std::string::npos) refuse(named("Philips iSyntax"));
  if (text.starts_with("<?xml") || text.starts_with("<error") || text.starts_with("{"))
    throw Error("", std::string("is ") + (text[0] == '{' ? "a JSON" : "an XML") + " text, not a slide",
                "download the file itself; the text may say why that failed");
}

// A TIFF begins with the place of its first directory.
void check_tiff_directory(std::span<const uint8_t> head, int64_t size) {
  if (head.size() < 16) return;
  const bool little = head[0] == 'I', big_tiff = head[little ? 2 : 3] == 43;
  uint64_t at = 0;
  const int bytes = big_tiff ? 8 : 4;
  for (int i = 0; i < bytes; ++i) at = at << 8 | head[static_cast<size_t>(int64_t{bytes} + (little ? bytes - 1 - i : i))];
  if (at >= static_cast<uint64_t>(size))
    throw Error("",
                "damaged TIFF: it is cut off: its directory lies at byte " + std::to_string(at) + " and the file ends at byte " +
                    std::to_string(size),
                "restore the file; was a copy or download of it interrupted?");
}

void check_strict(const KnownFormat& f, const fs::path& path, std::span<const uint8_t> head) {
  const std::string claim = "is called " + extension_of(path) + ", as " + f.name + " slides are, and ";
  constexpr const char* kFix = "restore the file, or give it the extension of what it is";
  if (!f.magic[0].bytes.empty()) {
    if (!holds(f, head)) throw Error("", claim + "does not begin as one", kFix);
    return;
  }
  const std::string vendor = openslide_vendor(path.string());
  if (!vendor.empty() && vendor != "generic-tiff") return;
  const std::string why = openslide_complaint(path.string());
  throw Error("", claim + "OpenSlide does not recognise it" + (why.empty() ? "" : " (" + why + ")"), kFix);
}

}  // namespace

std::span<const KnownFormat> known_formats() { return kKnownFormats; }

const KnownFormat* format_called(const fs::path& path) {
  const std::string name = lower_ascii(path.filename().string());
  const KnownFormat* best = nullptr;
  size_t longest = 0;
  for (const KnownFormat& f : kKnownFormats)
    if (const size_t length = called(f, name); length > longest) {
      longest = length;
      best = &f;
    }
  return best;
}

const KnownFormat* format_holding(std::span<const uint8_t> head) {
  for (const KnownFormat& f : kKnownFormats)
    if (holds(f, head)) return &f;
  return nullptr;
}

// BMP has two letters alone, with which a text may begin too: four bytes that are zero follow the size of the file.
bool holds_image(std::span<const uint8_t> head) {
  const auto is_bmp = [&] {
    return head.size() >= 14 && std::all_of(head.data() + 6, head.data() + 10, [](uint8_t c) { return c == 0; });
  };
  return std::any_of(std::begin(kKnownFormats), std::end(kKnownFormats),
                     [&](const KnownFormat& f) { return f.alone && holds(f, head) && (&f != &named("BMP") || is_bmp()); });
}

bool is_unfinished_download(const fs::path& path) { return format_called(path) == &named("unfinished download"); }

bool called_as_slide(const fs::path& path) {
  const KnownFormat* f = format_called(path);
  return f && !*f->what;  // not a part or a wrapping
}

bool is_slide_folder(const fs::path& folder) {
  try {
    check_folder(folder);
    return false;
  } catch (const Error&) {
    return true;
  }
}

void check_folder(const fs::path& folder) {
  const auto has = [&](const char* name) {
    std::error_code ignored;
    return fs::exists(folder / name, ignored);
  };
  std::string name = folder.filename().string();
  if (name.empty()) name = folder.parent_path().filename().string();
  if (has("zarr.json") || has(".zattrs") || has(".zgroup") || lower_ascii(name).ends_with(".zarr"))
    throw Error("", "is a folder of OME-Zarr, which is not read", kConvertSlide);
  if (has("Slidedat.ini")) throw Error("", "is the data folder of a MIRAX slide", "name " + name + ".mrxs, which lies beside it");
  if (has("DICOMDIR")) throw Error("", "is a folder of DICOM, which is not read", named("DICOM").advice);
}

void check_known_format(const fs::path& path, std::span<const uint8_t> head, int64_t size) {
  const KnownFormat *held = format_holding(head), *claimed = format_called(path);
  check_split_piece(path, head);
  if (held && held->use == FormatUse::unread) refuse(*held);
  if (!held) refuse_markup(head, claimed != nullptr);
  if (held == &named("TIFF") || claimed == &named("Olympus VSI")) check_olympus_parts(path);
  if (claimed && claimed->use == FormatUse::unread) {
    if (*claimed->what) refuse(*claimed);
    throw Error("", "is called " + extension_of(path) + ", as files of " + claimed->name + " are, which is not read",
                std::string(claimed->advice) + "; or give it the extension of what it is");
  }
  if (head.size() >= 16 && std::all_of(head.begin(), head.end(), [](uint8_t c) { return c == 0; }))
    throw Error("", "begins with nothing but zeros: an interrupted download, or a placeholder of a cloud folder",
                "download the file itself");
  if (claimed == &named("MIRAX")) check_mirax_parts(path);
  if (claimed == &named("Hamamatsu VMS") || claimed == &named("Hamamatsu VMU")) check_hamamatsu_parts(path);
  if (claimed && claimed->use == FormatUse::strict) check_strict(*claimed, path, head);
  if (held == &named("TIFF")) check_tiff_directory(head, size);
}

std::string doubt_of_name(const fs::path& path, std::span<const uint8_t> head) {
  const KnownFormat *held = format_holding(head), *claimed = format_called(path);
  if (!held || !claimed || held->use != FormatUse::image || claimed->use != FormatUse::slide) return {};
  return "is called " + extension_of(path) + ", as " + claimed->name + " files are, and holds a plain " + held->name +
         " image; it may be the preview of a slide";
}

std::string claim_of_name(const fs::path& path) {
  const KnownFormat* f = format_called(path);
  return f ? " (it is called " + extension_of(path) + ", as " + f->name + " files are)" : "";
}

}  // namespace cytodet::tiling

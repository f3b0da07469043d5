#include "tiling/slides/formats/ome_images.h"

#include <algorithm>
#include <charconv>

#include "tiling/slides/formats/xml_text.h"

namespace cytodet::tiling {
namespace {

std::optional<uint32_t> count(std::string_view text) {
  uint32_t value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stopped == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

OmeData data_of(std::string_view tag) {
  OmeData data;
  const auto number = [&](const char* name) -> std::optional<uint32_t> {
    const std::string_view text = attribute(tag, name);
    const auto value = count(text);
    if (!text.empty() && !value) data.bad_field = name;
    return value;
  };
  data.channel = number("FirstC").value_or(0);
  data.depth = number("FirstZ").value_or(0);
  data.time = number("FirstT").value_or(0);
  data.directory = number("IFD");
  data.count = number("PlaneCount");
  return data;
}

// False: sizes are missing or wrong.
bool read_pixels(std::string_view tag, OmeImage& image) {
  const auto c = count(attribute(tag, "SizeC")), z = count(attribute(tag, "SizeZ")), t = count(attribute(tag, "SizeT"));
  if (!c || !z || !t || !*c || !*z || !*t) return false;
  image.channels = *c;
  image.depths = *z;
  image.times = *t;
  image.width = count(attribute(tag, "SizeX")).value_or(0);
  image.height = count(attribute(tag, "SizeY")).value_or(0);
  std::string sorted(attribute(tag, "DimensionOrder"));
  const std::string order = sorted;
  std::sort(sorted.begin(), sorted.end());
  if (sorted == "CTXYZ" && order.starts_with("XY")) image.order = order;
  return true;
}

// Place in the image's order.
uint64_t index_of(const OmeImage& image, uint32_t channel, uint32_t depth, uint32_t time) {
  uint64_t index = 0, step = 1;
  for (char axis : image.order.substr(2)) {
    index += step * (axis == 'C' ? channel : axis == 'Z' ? depth : time);
    step *= axis == 'C' ? image.channels : axis == 'Z' ? image.depths : image.times;
  }
  return index;
}

}  // namespace

std::vector<OmeImage> ome_images(std::string_view xml) {
  std::vector<OmeImage> images;
  std::string name, own_uuid;
  bool inside = false;  // a Pixels element that counts
  while (const auto tag = next_tag(xml)) {
    if (tag->name == "OME") {
      own_uuid = std::string(attribute(tag->inside, "UUID"));
    } else if (tag->name == "Image") {
      name = std::string(attribute(tag->inside, "Name"));
      inside = false;
    } else if (tag->name == "Pixels") {
      OmeImage image;
      image.name = name;
      image.own_uuid = own_uuid;
      inside = read_pixels(tag->inside, image);
      if (inside) images.push_back(std::move(image));
    } else if (inside && tag->name == "Channel") {
      images.back().channel_names.emplace_back(attribute(tag->inside, "Name"));
      const uint32_t samples = count(attribute(tag->inside, "SamplesPerPixel")).value_or(1);
      if (images.back().channel_names.size() == 1 && samples > 0) images.back().samples = samples;
    } else if (inside && tag->name == "TiffData") {
      images.back().data.push_back(data_of(tag->inside));
    } else if (inside && tag->name == "UUID" && !images.back().data.empty()) {
      OmeData& data = images.back().data.back();
      data.file = std::string(attribute(tag->inside, "FileName"));
      std::string_view text = xml.substr(tag->inside.size());
      if (text.starts_with('>')) data.uuid = std::string(text.substr(1, text.find('<') - 1));
    }
  }
  for (OmeImage& image : images) image.channels = image.channels / image.samples + (image.channels % image.samples > 0);
  return images;
}

OmePlaces::OmePlaces(const OmeImage& image) : image_(image) {
  for (const OmeData& d : image.data) {
    if (!d.bad_field.empty()) bad_field_ = d.bad_field;
    runs_.emplace_back(index_of(image, d.channel / image.samples, d.depth, d.time), &d);
  }
  std::stable_sort(runs_.begin(), runs_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

OmePlace OmePlaces::at(uint32_t channel, uint32_t depth, uint32_t time) const {
  const uint64_t wanted = index_of(image_, channel, depth, time);
  if (runs_.empty()) return {wanted, "", "", ""};
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), wanted, [](uint64_t v, const auto& run) { return v < run.first; });
  if (after == runs_.begin()) return {std::nullopt, "", "", bad_field_};
  const auto& [first, data] = *(after - 1);
  const uint64_t count = data->count ? *data->count : data->directory ? 1 : UINT64_MAX;
  if (wanted - first >= count) return {std::nullopt, "", "", bad_field_};
  return {uint64_t{data->directory.value_or(0)} + (wanted - first), data->file, data->uuid, data->bad_field};
}

}  // namespace cytodet::tiling

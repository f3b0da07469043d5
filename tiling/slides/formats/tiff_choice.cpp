#include "tiling/slides/formats/tiff_choice.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "core/error.h"
#include "core/join.h"

namespace cytodet::tiling {
namespace {

std::string size_text(int64_t width, int64_t height) { return std::to_string(width) + " x " + std::to_string(height); }

// "5", "7 gray channels (DAPI, FITC, ...)"
std::string channels_in_words(const TiffSeries& s) {
  std::string text = std::to_string(s.channels) + (s.form.gray() ? " gray channels" : " colour images as channels"), names;
  const std::vector<std::string>& all = s.channel_names;
  if (std::any_of(all.begin(), all.end(), [](const std::string& n) { return !n.empty(); })) names = listed(all);
  if (!names.empty()) text += " (" + names + ")";
  if (s.form.gray() && s.form.bits != 8) text += " of " + std::to_string(s.form.bits) + " bits";
  return text;
}

std::string in_words(const TiffSeries& s) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  if (s.channels > 1) add(channels_in_words(s));
  if (s.planes > 1) add(std::to_string(s.planes) + " focal planes");
  if (s.times > 1) add(std::to_string(s.times) + " points in time");
  return text;
}

class Chooser {
 public:
  Chooser(const TiffContents& contents, const ImageSelection& selection) : c_(contents), s_(selection) {}

  TiffChoice run() {
    describe();
    if (s_.page)
      take_page();
    else
      take_series();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& advice) const {
    throw Error("", "is " + article() + " of " + what, advice);
  }
  std::string article() const { return (c_.kind[0] == 'A' || c_.kind[0] == 'I' || c_.kind[0] == 'O' ? "an " : "a ") + c_.kind; }
  void say(const std::string& words) { out_.selection += (out_.selection.empty() ? "" : ", ") + words; }
  static std::string number_of(int number, int count) {
    return std::to_string(number) + " (of " + std::to_string(count) + ", from 0)";
  }

  void describe() {
    SlideContents& d = out_.contents;
    d.kind = c_.kind;
    d.pages = static_cast<int>(std::min<int64_t>(c_.pages, INT32_MAX));
    d.series = c_.unrelated ? 1 : static_cast<int>(c_.series.size());
    d.others = c_.others;
  }

  // Pages are numbered by the chain, or, where one directory describes a stack, by the stack.
  void take_page() {
    const int page = *s_.page;
    const TiffSeries* best = nullptr;
    const std::vector<TiffPlace>* image = nullptr;
    bool stacked = false;
    for (const TiffSeries& s : c_.series)
      for (const std::vector<TiffPlace>& one : s.images) {
        const TiffPlace& p = one[0];
        stacked = stacked || p.stack > 0;
        const bool wanted = p.stack > 0 ? p.stack == page : p.problem.empty() && !p.sub && p.where == static_cast<uint64_t>(page);
        if (!image && wanted) {
          best = &s;
          image = &one;
        }
      }
    const int64_t pages = stacked ? stack_size() : c_.pages;
    if (page >= pages)
      refuse(std::to_string(pages) + (pages == 1 ? " page" : " pages") + "; there is no page " + std::to_string(page),
             "pages count from 0; cytodet info lists them");
    say("page " + number_of(page, static_cast<int>(pages)));
    const TiffLayout form =
        best ? best->form : c_.chain[std::min<size_t>(static_cast<size_t>(page), c_.chain.size() - 1)].image.form;
    std::vector<TiffPlace> alone = image ? *image : std::vector<TiffPlace>{{false, static_cast<uint64_t>(page)}};
    TiffSeries one;
    one.form = form;
    for (TiffPlace& p : alone) p.channel = -1;
    one.images = {std::move(alone)};
    add_samples_as_channels(one);
    take_channels(one, 0, 0);
  }
  int64_t stack_size() const {
    int64_t max = 0;
    for (const TiffSeries& s : c_.series)
      for (const auto& one : s.images) max = std::max(max, one[0].stack + 1);
    return max;
  }

  void take_series() {
    const auto count = static_cast<int>(c_.series.size());
    if (c_.unrelated && !s_.series) refuse_pages();
    int wanted = s_.series.value_or(0);
    if (wanted >= count)
      refuse(std::to_string(count) + " series; there is no series " + std::to_string(wanted), "series count from 0");
    if (!s_.series && count > 1) wanted = largest_series();
    const TiffSeries& s = c_.series[static_cast<size_t>(wanted)];
    if (!c_.set_of.empty()) check_set(s);
    if (count > 1) say("series " + number_of(wanted, count) + (s.name.empty() ? "" : " \"" + s.name + "\""));
    if (count > 1 && !c_.unrelated) others_of_series(wanted);
    out_.contents.channels = s.channels;
    out_.contents.planes = s.planes;
    out_.contents.times = s.times;
    out_.contents.channel_names = s.channel_names;
    take_channels(s, time_of(s), plane_of(s));
    warn_of_others();
  }

  // Gray images of a set are its channels, planes or points in time; colour images stand for themselves.
  void check_set(const TiffSeries& s) {
    const std::string set = "is one of a set of OME-TIFFs, of which " + c_.set_of + " says what they are";
    if (!s.form.gray())
      out_.warnings.push_back(set + "; the others are not analysed");
    else if (!s_.series)
      throw Error("", set + "; it is not read", "name an image by --page (cytodet info lists them), or save the set as one file");
  }

  [[noreturn]] void refuse_pages() const {
    const TiffSeries& s = c_.series[0];
    // Pages that were not looked at count as further series.
    const int64_t pages = static_cast<int64_t>(c_.series.size()) + c_.pages - static_cast<int64_t>(c_.chain.size());
    const std::string count = std::to_string(pages);
    throw Error("",
                "holds " + count + " pages of " + size_text(s.width, s.height) + " pixels (" + in_words(s.form) +
                    "), and does not say what they are to each other",
                "name one by --page" + page_numbers() + " (cytodet info lists them)");
  }
  // ", from 0 to 4"; ": 0, 3, 6" where levels lie between them.
  std::string page_numbers() const {
    constexpr size_t kListed = 12;
    const auto number = [&](size_t i) {
      const TiffPlace& p = c_.series[i].images[0][0];
      return p.stack > 0 ? p.stack : static_cast<int64_t>(p.where);
    };
    const size_t last = c_.series.size() - 1;
    if (number(0) == 0 && number(last) == static_cast<int64_t>(last)) return ", from 0 to " + std::to_string(last);
    std::string text;
    for (size_t i = 0; i <= last && i < kListed; ++i) text += (i ? ", " : ": ") + std::to_string(number(i));
    return text + (last >= kListed ? ", ..." : "");
  }

  int largest_series() const {
    const auto area = [&](size_t i) { return c_.series[i].width * c_.series[i].height; };
    size_t best = 0, equal = 0;
    for (size_t i = 1; i < c_.series.size(); ++i)
      if (area(i) > area(best)) best = i;
    for (size_t i = 0; i < c_.series.size(); ++i) equal += area(i) == area(best);
    if (equal > 1)
      throw Error("",
                  "is " + article() + " of " + std::to_string(c_.series.size()) + " images, " + std::to_string(equal) +
                      " of them of " + size_text(c_.series[best].width, c_.series[best].height) + " pixels",
                  "name one by --series, from 0 to " + std::to_string(c_.series.size() - 1));
    return static_cast<int>(best);
  }

  void others_of_series(int taken) {
    for (size_t i = 0; i < c_.series.size(); ++i) {
      const TiffSeries& s = c_.series[i];
      if (static_cast<int>(i) == taken) continue;
      HeldImage h{"image", false, s.name, s.width, s.height, in_words(s.form), "--series " + std::to_string(i)};
      std::string name = s.name;
      for (char& ch : name) ch = static_cast<char>(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
      for (const char* kind : {"label", "macro", "thumbnail", "overview"})
        if (name.find(kind) != std::string::npos) h.kind = kind, h.auxiliary = true;
      out_.contents.others.push_back(std::move(h));
    }
  }

  // Images of which nothing says that they are a label, a thumbnail or the like.
  void warn_of_others() {
    std::string text;
    int count = 0;
    for (const HeldImage& h : out_.contents.others)
      if (!h.auxiliary) {
        if (++count <= 3)
          text += (count > 1 ? ", " : "") + (h.width > 0 ? size_text(h.width, h.height) : h.form) + " (" + h.option + ")";
      }
    if (count)
      out_.warnings.push_back("holds " + std::to_string(count) + (count == 1 ? " more image that is" : " more images that are") +
                              " not analysed: " + text + (count > 3 ? ", ..." : ""));
  }

  int time_of(const TiffSeries& s) {
    if (s.times == 1 && !s_.time) return 0;
    if (!s_.time)
      refuse(in_words(s) + ", not of one image", "name one point in time by --time, from 0 to " + std::to_string(s.times - 1));
    if (*s_.time >= s.times)
      refuse(std::to_string(s.times) + " points in time; there is no number " + std::to_string(*s_.time), "they count from 0");
    say("point in time " + number_of(*s_.time, s.times));
    return *s_.time;
  }

  int plane_of(const TiffSeries& s) {
    if (s_.plane) {
      if (*s_.plane >= s.planes)
        refuse(std::to_string(s.planes) + (s.planes == 1 ? " focal plane" : " focal planes") + "; there is no number " +
                   std::to_string(*s_.plane),
               "they count from 0");
      if (s.planes > 1) say("focal plane " + number_of(*s_.plane, s.planes));
      return *s_.plane;
    }
    if (s.planes == 1) return 0;
    const int plane = s.base_plane >= 0 ? s.base_plane : s.planes / 2;
    say("focal plane " + number_of(plane, s.planes));
    focal_plane_ = plane;
    return plane;
  }

  std::optional<int> channel_named(const TiffSeries& s, const std::string& text) const {
    for (size_t i = 0; i < s.channel_names.size(); ++i)
      if (!text.empty() && s.channel_names[i] == text) return static_cast<int>(i);
    int number = 0;
    const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && stopped == text.data() + text.size() && number >= 0 && number < s.channels) return number;
    return std::nullopt;
  }

  std::vector<int> channels_to_take(const TiffSeries& s) {
    const std::string count = std::to_string(s.channels - 1);
    std::vector<int> taken;
    for (const std::string& text : channels_of(s_)) {
      if (s.channels == 1 && !s.form.gray()) refuse("one colour image, without channels to choose", "leave out --channel");
      const auto channel = channel_named(s, text);
      if (!channel)
        refuse(channels_in_words(s) + "; there is no channel \"" + text + "\"",
               "channels are named by numbers from 0, or by the names that the file gives");
      taken.push_back(*channel);
    }
    if (taken.size() == 3 && !s.form.gray()) refuse("colour images, of which three make no image", "name one channel");
    if (!taken.empty()) return taken;
    if (s.channels == 1) return {0};
    if (s.rgb && s.form.bits == 8 && s.form.sample_format == 1) return {s.rgb->begin(), s.rgb->end()};
    refuse(in_words(s) + ", not of one image" + (s.channels == 3 && !s.not_rgb.empty() ? "; " + s.not_rgb : ""),
           "name one by --channel, from 0 to " + count + (s.form.gray() ? ", shown as gray, or three by --channel R,G,B" : ""));
  }

  void take_channels(const TiffSeries& s, int time, int plane) {
    const std::vector<int> taken = channels_to_take(s);
    std::vector<const std::vector<TiffPlace>*> images;
    size_t levels = SIZE_MAX;
    for (int c : taken) {
      images.push_back(&s.at(time, plane, c));
      levels = std::min(levels, images.back()->size());
      if (const std::string& problem = images.back()->front().problem; !problem.empty())
        throw Error("", problem, "restore the file, or save the image as one 8-bit RGB plane");
    }
    for (size_t level = 0; level < levels; ++level) {
      out_.levels.emplace_back();
      for (const auto* image : images) out_.levels.back().push_back((*image)[level]);
    }
    if (s.channels > 1) {
      std::string text;
      for (int c : taken) {
        text += (text.empty() ? "" : ", ") + std::to_string(c);
        if (const auto i = static_cast<size_t>(c); i < s.channel_names.size() && !s.channel_names[i].empty())
          text += " \"" + s.channel_names[i] + "\"";
      }
      say(taken.size() == 3 ? "channels " + text + " as red, green, blue"
                            : "channel " + text + " (of " + std::to_string(s.channels) + ", from 0)");
    }
    if (focal_plane_)
      out_.warnings.push_back("holds " + std::to_string(s.planes) + " focal planes; number " + std::to_string(*focal_plane_) +
                              " (from 0) is analysed, another by --plane");
  }

  const TiffContents& c_;
  const ImageSelection& s_;
  TiffChoice out_;
  std::optional<int> focal_plane_;  // taken without being asked for
};

}  // namespace

SlideContents listing(const TiffContents& c) {
  SlideContents all;
  all.kind = c.kind;
  all.bits = c.series[0].form.bits;
  all.pages = static_cast<int>(std::min<int64_t>(c.pages, INT32_MAX));
  all.series = c.unrelated ? 1 : static_cast<int>(c.series.size());
  for (size_t i = 0; i < c.series.size(); ++i) {
    const TiffSeries& s = c.series[i];
    const TiffPlace& first = s.images[0][0];
    HeldImage h{"image", false, s.name, s.width, s.height, in_words(s.form), ""};
    if (c.unrelated)
      h.option = "--page " + std::to_string(first.stack > 0 ? first.stack : static_cast<int64_t>(first.where));
    else if (c.series.size() > 1)
      h.option = "--series " + std::to_string(i);
    if (const std::string planes = in_words(s); !planes.empty()) h.form += "; " + planes;
    all.others.push_back(std::move(h));
  }
  all.others.insert(all.others.end(), c.others.begin(), c.others.end());
  return all;
}

TiffChoice choose_image(const TiffContents& contents, const ImageSelection& selection) {
  return Chooser(contents, selection).run();
}

}  // namespace cytodet::tiling

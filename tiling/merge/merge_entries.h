// What the entries of merge_methods() share.
#pragma once

#include <span>
#include <vector>

#include "tiling/merge/merge.h"
#include "tiling/merge/overlap.h"

namespace cytodet::tiling {

// Sorts by rank, within a class unless class_agnostic, and returns what may merge: a span per class, or one. Equal detections of
// several tiles lie side by side, uncut first.
std::vector<std::span<TileDetection>> ranked_groups(std::vector<TileDetection>& all, const MergeSettings& settings);
std::vector<Box> boxes_of(std::span<const TileDetection> group);
Overlap overlap_of(const MergeSettings& settings);

// Greedy suppression: best first, each box drops the rest that it overlaps. All that is left is kept, up to a slide's millions of
// boxes; models/common/suppress keeps a few per image.
void suppress(std::span<const TileDetection> ranked, const Overlap& overlap, Detections& out);

Detections merge_nms(std::vector<TileDetection> all, const MergeSettings& settings);

// Bodla et al. 2017, "Soft-NMS", eq. 5: taken best first, each box lowers the rest by exp(-iou^2 / soft_sigma); what falls below
// soft_score goes.
Detections merge_soft_nms(std::vector<TileDetection> all, const MergeSettings& settings);

// Akyol et al., SAHI's GREEDYNMM: best first, each box takes in the rest that it overlaps, best first, and grows to enclose each
// that the grown box still overlaps. NMM also takes in what the boxes that were taken in overlap in turn, unless it is taken
// already. Scores and classes are the best box's. Unlike SAHI's NMM, a box takes in others of its own score too: the order of
// ranks says which is first.
Detections merge_greedy_nmm(std::vector<TileDetection> all, const MergeSettings& settings);
Detections merge_nmm(std::vector<TileDetection> all, const MergeSettings& settings);

// Solovyev et al. 2021, "Weighted boxes fusion": best first, each box joins the fused box it overlaps most, or founds one; a
// fused box is the mean of its boxes, weighted by score.
Detections merge_wbf(std::vector<TileDetection> all, const MergeSettings& settings);

// A box that touches an inner tile edge may be a cut cell. When a box of another tile that is not cut covers it, that one saw the
// cell whole and owns it; the cut box goes. What is left is suppressed.
Detections merge_owner(std::vector<TileDetection> all, const MergeSettings& settings);

}  // namespace cytodet::tiling

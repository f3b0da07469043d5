"""What retraining minimizes, by name."""
from collections.abc import Callable
from typing import Any, Optional

Loss = Callable[[Any, list[Any], Optional[list[Any]], Any], Any]


def distillation(tf: Any, got: list[Any], wanted: Optional[list[Any]], _: Any) -> Any:
    """Mean over outputs of the squared distance to the float network's, each divided by the mean square of the latter."""
    assert wanted is not None
    terms = [tf.reduce_mean(tf.math.squared_difference(g, w)) / (tf.reduce_mean(tf.square(w)) + 1e-12) for g, w in zip(got, wanted)]
    return tf.add_n(terms) / len(terms)


def cross_entropy(tf: Any, got: list[Any], _: Optional[list[Any]], labels: Any) -> Any:
    """Of the first output, [n, classes], against labels [n]: logits, or where a Softmax makes it, what that reads."""
    logits = got[0]
    while logits.op.type in ("Identity", "Softmax", "Reshape", "Squeeze"):
        if logits.op.type == "Softmax":
            logits = logits.op.inputs[0]
            break
        logits = logits.op.inputs[0]
    else:
        logits = got[0]
    logits = tf.reshape(logits, [-1, got[0].shape[-1]])
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(labels, [-1]), logits=logits))


def detection(tf: Any, got: list[Any], _: Optional[list[Any]], labels: Any, alpha: float = 0.25, gamma: float = 1.5,
              box_weight: float = 50.0, delta: float = 0.1) -> Any:
    """The loss that EfficientDet is trained by: focal loss (Lin et al. 2017) of the class heads, the first half of the outputs, and
    Huber loss of the box heads, each over the number of anchors with a box. labels: box_targets(), [n, anchors, 5]."""
    anchors = int(labels.shape[1])

    def heads(part: list[Any]) -> Any:
        flat = tf.concat([tf.reshape(head, [tf.shape(head)[0], -1]) for head in part], axis=1)
        return tf.reshape(flat, [tf.shape(flat)[0], anchors, -1])

    logits, boxes = heads(got[: len(got) // 2]), heads(got[len(got) // 2:])
    wanted = tf.one_hot(tf.cast(labels[..., 0], tf.int32), tf.shape(logits)[2])
    positive = tf.cast(labels[..., 0] >= 0, tf.float32)
    count = tf.reduce_sum(positive) + 1.0
    share = tf.nn.sigmoid(logits)
    right = wanted * share + (1 - wanted) * (1 - share)
    weight = (wanted * alpha + (1 - wanted) * (1 - alpha)) * tf.pow(tf.maximum(1 - right, 1e-8), gamma)
    focal = tf.reduce_sum(weight * tf.nn.sigmoid_cross_entropy_with_logits(labels=wanted, logits=logits)) / count
    off = tf.abs(boxes - labels[..., 1:]) * positive[..., None]
    huber = tf.reduce_sum(tf.where(off <= delta, 0.5 * off * off, delta * (off - 0.5 * delta))) / (4 * count)
    return focal + box_weight * huber


LOSSES: dict[str, Loss] = {"distillation": distillation, "cross_entropy": cross_entropy, "detection": detection}

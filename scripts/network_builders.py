"""Networks that Keras applications lack, with random weights: the usual structures at their usual sizes, for make_networks.py.

Sources: ResNet v1.5 (stride in the 3x3 of a bottleneck), U-Net (Ronneberger et al. 2015), 3-D U-Net (Çiçek et al. 2016), DeepLab
v3+ (Chen et al. 2018) on MobileNetV2, YOLOv8n's structure (backbone of C2f blocks, SPPF, path aggregation, decoupled heads),
ViT-Ti/16 (Dosovitskiy et al. 2020, Touvron et al. 2020), Swin-T (Liu et al. 2021)."""
import tensorflow as tf

K = tf.keras
L = K.layers


def conv_bn(x, channels, kernel, stride=1, act="relu", **options):
    x = L.Conv2D(channels, kernel, stride, "same", use_bias=False, **options)(x)
    x = L.BatchNormalization()(x)
    return L.Activation(act)(x) if act else x


def resnet50_v15(size):
    image = x = K.Input((size, size, 3))
    x = L.MaxPool2D(3, 2, "same")(conv_bn(x, 64, 7, 2))
    for stage, (channels, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            short = x if block else conv_bn(x, 4 * channels, 1, stride, None)
            x = conv_bn(conv_bn(conv_bn(x, channels, 1), channels, 3, stride), 4 * channels, 1, 1, None)
            x = L.ReLU()(x + short)
    return K.Model(image, L.Dense(1000)(L.GlobalAveragePooling2D()(x)))


def unet(size):
    image = x = K.Input((size, size, 3))
    skips = []
    for channels in (32, 64, 128, 256):
        skips.append(conv_bn(conv_bn(x, channels, 3), channels, 3))
        x = L.MaxPool2D(2)(skips[-1])
    x = conv_bn(conv_bn(x, 512, 3), 512, 3)
    for channels, skip in zip((256, 128, 64, 32), reversed(skips)):
        x = L.Concatenate()([L.Conv2DTranspose(channels, 2, 2)(x), skip])
        x = conv_bn(conv_bn(x, channels, 3), channels, 3)
    return K.Model(image, L.Conv2D(3, 1)(x))


def unet3d(shape):
    def conv3(x, channels):
        return L.ReLU()(L.BatchNormalization()(L.Conv3D(channels, 3, padding="same", use_bias=False)(x)))

    image = x = K.Input(shape)
    skips = []
    for channels in (16, 32):
        skips.append(conv3(conv3(x, channels), 2 * channels))
        x = L.MaxPool3D(2)(skips[-1])
    x = conv3(conv3(x, 64), 128)
    for channels, skip in zip((64, 32), reversed(skips)):
        x = L.Concatenate()([L.Conv3DTranspose(2 * channels, 2, 2)(x), skip])
        x = conv3(conv3(x, channels), channels)
    return K.Model(image, L.Conv3D(3, 1)(x))


def deeplab(size):
    base = K.applications.MobileNetV2(input_shape=(size, size, 3), include_top=False, weights=None)
    high, low = base.get_layer("block_12_add").output, base.get_layer("block_2_add").output
    branches = [conv_bn(high, 256, 1)] + [conv_bn(high, 256, 3, dilation_rate=rate) for rate in (6, 12, 18)]
    pooled = conv_bn(L.GlobalAveragePooling2D(keepdims=True)(high), 256, 1)
    branches.append(L.UpSampling2D(size // 16, interpolation="bilinear")(pooled))
    x = L.UpSampling2D(4, interpolation="bilinear")(conv_bn(L.Concatenate()(branches), 256, 1))
    x = L.Concatenate()([x, conv_bn(low, 48, 1)])
    x = L.Conv2D(21, 1)(conv_bn(conv_bn(x, 256, 3), 256, 3))
    return K.Model(base.input, L.UpSampling2D(4, interpolation="bilinear")(x))


def c2f(x, channels, repeats, shortcut=True):
    first, second = tf.split(conv_bn(x, channels, 1, act="swish"), 2, axis=-1)
    parts = [first, second]
    for _ in range(repeats):
        y = conv_bn(conv_bn(parts[-1], channels // 2, 3, act="swish"), channels // 2, 3, act="swish")
        parts.append(parts[-1] + y if shortcut else y)
    return conv_bn(L.Concatenate()(parts), channels, 1, act="swish")


def yolo_v8n_like(size):
    """Raw heads, [1, cells of strides 8, 16, 32, 64 box bins + 80 classes]."""
    image = K.Input((size, size, 3))
    x = conv_bn(conv_bn(image, 16, 3, 2, "swish"), 32, 3, 2, "swish")
    x = c2f(x, 32, 1)
    p3 = c2f(conv_bn(x, 64, 3, 2, "swish"), 64, 2)
    p4 = c2f(conv_bn(p3, 128, 3, 2, "swish"), 128, 2)
    p5 = c2f(conv_bn(p4, 256, 3, 2, "swish"), 256, 1)
    x = conv_bn(p5, 128, 1, act="swish")
    pools = [x]
    for _ in range(3):
        pools.append(L.MaxPool2D(5, 1, "same")(pools[-1]))
    p5 = conv_bn(L.Concatenate()(pools), 256, 1, act="swish")
    p4 = c2f(L.Concatenate()([L.UpSampling2D(2)(p5), p4]), 128, 1, False)
    p3 = c2f(L.Concatenate()([L.UpSampling2D(2)(p4), p3]), 64, 1, False)
    p4 = c2f(L.Concatenate()([conv_bn(p3, 64, 3, 2, "swish"), p4]), 128, 1, False)
    p5 = c2f(L.Concatenate()([conv_bn(p4, 128, 3, 2, "swish"), p5]), 256, 1, False)
    heads = []
    for p in (p3, p4, p5):
        boxes = L.Conv2D(64, 1)(conv_bn(conv_bn(p, 64, 3, act="swish"), 64, 3, act="swish"))
        classes = L.Conv2D(80, 1)(conv_bn(conv_bn(p, 80, 3, act="swish"), 80, 3, act="swish"))
        heads.append(L.Reshape((-1, 144))(L.Concatenate()([boxes, classes])))
    return K.Model(image, L.Concatenate(1)(heads))


def mlp(x, hidden, channels):
    return L.Dense(channels)(L.Dense(hidden, "gelu")(x))


def heads_of(x, tokens, heads, width):
    """[n, tokens, heads * width] -> [n, heads, tokens, width]"""
    return tf.transpose(tf.reshape(x, (-1, tokens, heads, width)), (0, 2, 1, 3))


def attention(x, tokens, heads, width, add=None):
    q, k, v = (heads_of(y, tokens, heads, width) for y in tf.split(L.Dense(3 * heads * width)(x), 3, axis=-1))
    scores = tf.matmul(q * width ** -0.5, k, transpose_b=True)
    scores = scores if add is None else add(scores)
    x = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
    return L.Dense(heads * width)(tf.reshape(x, (-1, tokens, heads * width)))


class Constant(L.Layer):
    """A learned value that is added."""

    def __init__(self, shape):
        super().__init__()
        self.value = self.add_weight(name="value", shape=shape, initializer=K.initializers.RandomNormal(0, 0.02, 7))

    def call(self, x):
        return x + self.value


def vit_tiny(size):
    image = K.Input((size, size, 3))
    tokens, channels = (size // 16) ** 2, 192
    x = Constant((tokens, channels))(L.Reshape((tokens, channels))(L.Conv2D(channels, 16, 16)(image)))
    for _ in range(12):
        x = x + attention(L.LayerNormalization(epsilon=1e-6)(x), tokens, 3, 64)
        x = x + mlp(L.LayerNormalization(epsilon=1e-6)(x), 4 * channels, channels)
    return K.Model(image, L.Dense(1000)(tf.reduce_mean(L.LayerNormalization(epsilon=1e-6)(x), 1)))


def swin_block(x, side, channels, heads, shift):
    window = min(7, side)
    y = L.LayerNormalization(epsilon=1e-5)(x)
    y = tf.roll(y, (-shift, -shift), (1, 2)) if shift else y
    n = side // window
    y = tf.transpose(tf.reshape(y, (-1, n, window, n, window, channels)), (0, 1, 3, 2, 4, 5))
    y = tf.reshape(y, (-1, window * window, channels))
    y = attention(y, window * window, heads, channels // heads, Constant((heads, window * window, window * window)))
    y = tf.transpose(tf.reshape(y, (-1, n, n, window, window, channels)), (0, 1, 3, 2, 4, 5))
    y = tf.reshape(y, (-1, side, side, channels))
    x = x + (tf.roll(y, (shift, shift), (1, 2)) if shift else y)
    return x + mlp(L.LayerNormalization(epsilon=1e-5)(x), 4 * channels, channels)


def swin_tiny(size):
    image = K.Input((size, size, 3))
    side, channels = size // 4, 96
    x = L.LayerNormalization(epsilon=1e-5)(L.Conv2D(channels, 4, 4)(image))
    for stage, (blocks, heads) in enumerate([(2, 3), (2, 6), (6, 12), (2, 24)]):
        if stage:
            side, channels = side // 2, channels * 2
            x = L.Dense(channels, use_bias=False)(L.LayerNormalization(epsilon=1e-5)(tf.nn.space_to_depth(x, 2)))
        for block in range(blocks):
            x = swin_block(x, side, channels, heads, 3 if block % 2 and side > 7 else 0)
    x = L.LayerNormalization(epsilon=1e-5)(x)
    return K.Model(image, L.Dense(1000)(L.GlobalAveragePooling2D()(x)))


BUILDERS = {"ResNet50v15": resnet50_v15, "UNet": unet, "UNet3D": unet3d, "DeepLab": deeplab, "YOLOv8nLike": yolo_v8n_like, "ViTTiny": vit_tiny, "SwinTiny": swin_tiny}

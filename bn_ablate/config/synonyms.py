"""What Keras, PyTorch, Flax, Optax and papers call the things that a study names, for hints in messages.

Words are spelled here as `spelled` makes them, so that `Kaiming_Normal` and `kaiming-normal` are one. Where one word
stands for several things, the likeliest comes first, and a message takes the first that can stand where it was said.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping


def spelled(word: object) -> str:
    """`word` in small letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", str(word).casefold())


def _table(lines: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Word -> what it stands for, of lines that map that to its words."""
    found: dict[str, list[str]] = {}
    for meant, words in lines.items():
        for word in words.split():
            found.setdefault(spelled(word), []).append(meant)
    return {word: tuple(meanings) for word, meanings in found.items()}


KEYS = _table(
    {
        "name": "study run_name experiment",
        "title": "headline caption",
        "description": "notes comment about",
        "seeds": "seed n_seeds num_seeds random_state random_seed rng rng_seed repeats n_repeats replicates trials",
        "axes": "grid sweep factors parameters search_space",
        "exclude": "exclusions excluded skip filter",
        "hypotheses": "hypothesis hypothese tests",
        "data.name": "dataset data_set dataset_name",
        "data.n_train": "train_size num_train train_samples train_examples n_examples",
        "data.n_validation": "n_val num_val val_size validation_size n_valid",
        "data.n_test": "num_test test_size",
        "data.standardize": "normalize normalise standardise preprocessing",
        "model.architecture": "arch network net backbone",
        "model.depth": "layers n_layers num_layers hidden_layers num_hidden_layers n_hidden n_blocks num_blocks",
        "model.width": "units hidden hidden_size hidden_dim hidden_units features num_features n_units neurons "
        "channels filters out_channels out_features",
        "model.activation": "act act_fn act_layer activation_fn activation_function nonlinearity non_linearity",
        "model.weight_standardization": "ws weight_standardisation standardize_weights std_conv",
        "norm.statistics": "use_running_average use_running_stats batch_statistics",
        "norm.noise": "norm_noise batch_noise ghost_noise",
        "norm.noise_after": "noisy_bn noisy_batchnorm noise_after_bn noise_behind",
        "norm.since": "from norm_from bn_from start_bn insert_bn insert_at norm_start bn_start",
        "norm.until": "remove_bn remove_at fold_bn fold_at stop_bn norm_end bn_end bn_until",
        "norm.momentum_end": "final_momentum end_momentum momentum_final momentum_schedule bn_momentum_schedule",
        "norm.moving_variance": "running_var running_variance bessel unbiased",
        "norm.moving_average": "cumulative_average cumulative cumulative_moving_average averaging",
        "norm.frozen_from": "freeze_bn freeze_norm frozen_bn freeze_at freeze_after freeze_from",
        "norm.epsilon_on": "epsilon_outside eps_outside epsilon_place eps_on",
        "norm.alpha_init": "alpha init_alpha alpha_init_value",
        "model.kernel_init": "kernel_initializer weight_init weights_init initializer initialization init w_init",
        "norm.placement": "bn batchnorm batch_norm use_bn use_batchnorm bn_placement norm_placement position "
        "bn_position norm_position normalization",
        "norm.kind": "norm_type norm_layer norm_name normalizer normalization_layer",
        "norm.groups": "num_groups n_groups group_count",
        "norm.residual": "residual_bn",
        "norm.affine": "elementwise_affine use_scale use_bias center scale learnable_affine track_affine",
        "norm.coverage": "which_layers bn_layers norm_layers covered",
        "norm.epsilon": "eps bn_eps variance_epsilon",
        "norm.scale_init": "gamma gamma_init gamma_initializer scale_initializer weight_init init_gamma",
        "norm.residual_scale_init": "zero_init_residual zero_init_last zero_gamma last_gamma residual_gamma",
        "norm.bias_init": "beta beta_init beta_initializer bias_initializer init_beta",
        "norm.batch_size": "ghost ghost_batch_size ghost_batch virtual_batch_size bn_batch_size group_size",
        "dropout.rate": "dropout p drop prob probability drop_rate drop_prob dropout_prob dropout_p "
        "dropout_probability",
        "dropout.site": "dropout_position dropout_location where location",
        "dropout.kind": "noise noise_type dropout_type dropout_noise",
        "data.augment": "augmentation augmentations data_augmentation transform transforms",
        "data.random_labels": "label_noise noise_rate noisy_labels corrupt corruption label_corruption shuffle_labels",
        "data.augment_size": "crop_padding cutout_size padding",
        "train.steps": "iterations iters n_steps num_steps max_steps train_steps training_steps max_iter n_iter "
        "updates num_updates",
        "train.epochs": "epoch n_epochs num_epochs max_epochs train_epochs passes",
        "train.batch_size": "batch_size batch bs minibatch minibatch_size mini_batch_size train_batch_size",
        "train.optimizer": "optim opt optimiser solver tx",
        "train.learning_rate": "lr eta step_size stepsize base_lr peak_lr max_lr init_lr learningrate learn_rate rate "
        "init_value peak_value",
        "train.momentum": "momentum mu heavy_ball sgd_momentum",
        "norm.momentum": "momentum decay bn_momentum bn_decay moving_average_decay ema_decay ema running_momentum",
        "train.nesterov": "use_nesterov nesterov_momentum",
        "train.weight_decay": "wd l2 l2_reg l2_regularization weight_decay_rate kernel_regularizer decay",
        "train.decay_on": "decay_mask weight_decay_mask no_weight_decay decay_bias",
        "train.label_smoothing": "smoothing label_smooth smooth_labels",
        "train.clip_norm": "clip grad_clip gradient_clip gradient_clipping clip_grad_norm max_grad_norm "
        "clip_by_global_norm clipnorm global_clipnorm max_norm",
        "train.trainable": "freeze frozen requires_grad trainable_parameters",
        "train.schedule": "scheduler lr_schedule lr_scheduler learning_rate_schedule lr_decay decay_schedule annealing",
        "train.milestones": "boundaries lr_milestones lr_steps lr_boundaries decay_steps drop_steps",
        "train.decay_factor": "lr_gamma lr_decay_factor drop_factor decay_rate lr_drop",
        "train.average": "averaging weight_averaging average_weights swa use_swa stochastic_weight_averaging ema "
        "use_ema model_ema ema_model polyak polyak_averaging averaged_model",
        "train.average_decay": "ema_decay ema_momentum ema_rate model_ema_decay polyak_tau tau",
        "train.average_start": "swa_start swa_epoch_start ema_start start_averaging ema_warmup",
        "train.precision": "dtype compute_dtype mixed_precision amp param_dtype half_precision",
        "train.warmup_steps": "warmup warmup_iters n_warmup num_warmup_steps",
        "measure.every": "eval_every eval_interval log_every log_interval evaluate_every eval_freq log_freq",
        "measure.eval_batch": "eval_batch_size test_batch_size eval_bs",
        "measure.probe": "probe_size n_probe",
        "measure.examples": "eval_examples max_eval_examples limit_val_batches eval_steps",
        "measure.loss_threshold": "target_loss loss_target threshold",
        "measure.also": "metrics extra extras diagnostics",
        "hypotheses.id": "name key label",
        "hypotheses.kind": "type test hypothesis_type",
        "hypotheses.statement": "text title description sentence",
        "hypotheses.metric": "measure outcome response estimand",
        "hypotheses.margin": "tolerance delta threshold rope bound sesoi",
        "hypotheses.alternative": "direction tail tails sided",
        "hypotheses.a": "left lhs treatment first group_a",
        "hypotheses.b": "right rhs control baseline reference second group_b",
        "hypotheses.each": "per by for_each groupby group_by",
        "hypotheses.axis": "factor along over",
        "hypotheses.select": "tune choose best",
        "hypotheses.summary": "statistic aggregate reduce",
    }
)
"""Word -> keys of a study, as dotted paths."""


_MOMENTS = "the decay rates of adam's moments are 0.9 and 0.999, and cannot be set"
_KEPT = "dropout.rate is the probability to drop a unit, which is 1 minus that to keep it"
_SHARES = "data.n_validation is a number of examples, not a share"
NOTES = {
    spelled(word): note
    for note, words in {
        _MOMENTS: "beta1 beta2 b1 b2 beta_1 beta_2 betas",
        _KEPT: "keep_prob keep_rate keep keep_probability p_keep",
        _SHARES: "validation_split val_split validation_fraction val_fraction val_frac",
    }.items()
    for word in words.split()
}
"""Word -> a sentence, where the key that is nearest in meaning takes other values."""


def _of_metrics() -> Iterator[tuple[str, str]]:
    """`test_acc`, `val_loss`, `best_valid_accuracy`, and the like."""
    parts = {"train": "train training", "validation": "val valid validation dev", "test": "test testing eval"}
    measured = {"loss": "loss nll cross_entropy ce", "accuracy": "acc accuracy top1 score"}
    for (part, some), (measure, others) in itertools.product(parts.items(), measured.items()):
        for word, other in itertools.product(some.split(), others.split()):
            yield f"final_{part}_{measure}", f"{word}_{other} {other}_{word} final_{word}_{other} {word}_{other}_final"
            yield f"best_{part}_{measure}", f"best_{word}_{other} {word}_{other}_best max_{word}_{other}"


def _joined(pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    lines: dict[str, str] = {}
    for meant, words in pairs:
        lines[meant] = f"{lines.get(meant, '')} {words}"
    return lines


_VALUES = {
    "silu": "swish swish1 sil",
    "sigmoid": "logistic sigm logsig expit",
    "identity": "linear none id passthrough no_activation",
    "hard_tanh": "htanh clip clipped_tanh",
    "leaky_relu": "lrelu leaky",
    "relu": "rectifier rectified_linear rectified",
    "he_normal": "kaiming kaiming_normal kaiming_normal_ he msra msra_normal",
    "he_uniform": "kaiming_uniform kaiming_uniform_ msra_uniform",
    "glorot_normal": "xavier_normal xavier_normal_",
    "glorot_uniform": "xavier xavier_uniform xavier_uniform_ glorot",
    "lecun_normal": "lecun",
    "orthogonal": "orthogonal_ ortho",
    "lsuv": "lsuv_init layer_sequential_unit_variance",
    "sgd": "momentum nesterov heavy_ball gd gradient_descent stochastic_gradient_descent",
    "adamw": "adam_w adam_decoupled",
    "rmsprop": "rms",
    "batch": "batch_norm batchnorm bn batch_normalization ghost_batch_norm",
    "layer": "layer_norm layernorm ln layer_normalization",
    "group": "group_norm groupnorm gn group_normalization",
    "instance": "instance_norm instancenorm in instance_normalization",
    "rms": "rms_norm rmsnorm",
    "dyt": "dynamic_tanh",
    "batch_renorm": "brn renorm batch_renormalization",
    "fixed": "frozen data_dependent data_dependent_init first_batch",
    "mean_only": "mean_only_batch_norm mean_only_bn centering",
    "variance_only": "variance_only_bn var_only scale_only_bn",
    "pre": "before pre_activation before_activation pre_act bn_first",
    "post": "after post_activation after_activation post_act bn_last",
    "none": "off no false disabled without nothing null plain absent",
    "before_add": "before pre before_addition",
    "after_add": "after post after_addition",
    "both": "true yes on full gamma_beta scale_and_bias weight_and_bias affine all",
    "scale": "gamma weight scale_only gamma_only",
    "bias": "beta shift offset center bias_only beta_only",
    "all": "true yes on every each full everywhere",
    "first": "only_first first_only",
    "last": "only_last last_only final end before_last",
    "every_other": "alternate alternating every_second every_2 even",
    "input": "inputs input_only",
    "constant": "none fixed flat",
    "cosine": "cosine_decay cosine_annealing cos cosine_annealing_lr cosine_schedule",
    "linear": "linear_decay linear_schedule",
    "step": "step_lr steps multistep multi_step multistep_lr multi_step_lr piecewise piecewise_constant staircase",
    "one_cycle": "onecycle_lr one_cycle_lr 1cycle cosine_onecycle super_convergence",
    "float32": "fp32 f32 single float full 32 32_bit",
    "tensorfloat32": "tf32 tensor_float tensor_float_32 tensorfloat high",
    "bfloat16": "bf16 brain_float",
    "block": "every_block after_block after all each every",
    "before_norm": "before before_bn pre_norm pre_bn",
    "ic": "independent_component input",
    "bernoulli": "binary mask standard vanilla binomial",
    "uniform": "uout",
    "affine_only": "bn_only norm_only only_affine affine gamma_beta",
    "kernels": "kernel weights weights_only kernels_only",
    "all_but_norm": "no_norm all_but_bn not_norm no_bn",
    "all_but_scale": "freeze_scale freeze_gamma no_scale all_but_gamma",
    "all_but_bias": "freeze_bias freeze_beta no_bias all_but_beta",
    "mlp": "fc dense fully_connected feedforward feed_forward fcn perceptron",
    "cnn": "conv convnet convolutional",
    "resnet": "residual resnet18 resnet20 resnet32 resnet50 resnet_v1",
    "resnet_preact": "preact preactivation preact_resnet preresnet resnet_v2 wide_resnet wideresnet wrn",
    "channel": "per_channel channels true mean_std",
    "feature": "per_feature features pixel per_pixel",
    "seeded": "random stratified shuffled",
    "official": "original predefined default standard",
    "greater": "larger more higher bigger above up right gt",
    "less": "smaller lower below down left lt",
    "two-sided": "two_sided both twosided two_tailed unequal different ne",
    "contrast": "difference diff t_test ttest paired compare comparison superiority",
    "equivalence": "tost equal equivalent same noninferiority",
    "interaction": "difference_in_differences did",
    "slope": "trend regression correlation linear_trend",
    "optimum_shift": "argmax argmin best_level optimum",
    "equivalent_level": "matching_level exchange",
    "log10": "log ln logarithmic log2",
    "mean": "average avg",
    "spread": "std sd stdev standard_deviation variance range",
    "gap": "generalization_gap generalisation_gap gen_gap overfitting overfit loss_gap",
    "accuracy_gap": "acc_gap",
    "final_test_accuracy": "accuracy acc performance test_performance",
    "final_validation_accuracy": "accuracy acc performance",
    "final_test_loss": "loss error",
    "final_validation_loss": "loss error",
    "dead_train": "dead_units dead_relus dead_neurons dead_share",
    "inactive_train": "inactive sparsity",
    "saturated": "saturation saturated_share",
    "evaluations": "recalibrated recalibration precise_bn",
    "landscape": "loss_landscape smoothness sharpness",
    "fashion_mnist": "fashion fmnist",
    "cifar10": "cifar",
}
VALUES = _table(_joined(itertools.chain(_VALUES.items(), _of_metrics())))
"""Word -> values that keys may take."""

_ELSEWHERE = """
prelu rrelu relu6 celu crelu glu geglu swiglu mish hard_sigmoid hard_swish hard_silu softmax log_softmax log_sigmoid
softmin softshrink hardshrink tanhshrink threshold squareplus sparse_plus sine gaussian exp
adagrad adadelta adamax nadam nadamw radam lion lamb lars adafactor adabelief yogi sm3 lbfgs rprop asgd ftrl muon
shampoo novograd fromage
truncated_normal random_normal random_uniform normal uniform zeros ones constant variance_scaling eye dirac
delta_orthogonal sparse
exponential exponential_decay polynomial cyclic plateau inverse_sqrt
reduce_lr_on_plateau inverse_time noam warm_restarts sgdr
float16 fp16 f16 half float64 fp64 f64 double float8 fp8 int8
weight_norm spectral_norm power_norm
spatial channel_dropout drop_connect drop_path alpha_dropout stochastic_depth zoneout
vit transformer vgg alexnet lenet densenet mobilenet efficientnet rnn lstm gru mixer
auc f1 precision recall perplexity mse mae r2 top5
imagenet svhn kmnist emnist stl10 iris
"""
ELSEWHERE = frozenset(map(spelled, _ELSEWHERE.split()))
"""Names of things that are not here: the nearest name of what is here would be another thing."""

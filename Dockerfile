# The course in a container: docker build -t lottery-tickets . && docker run --rm -p 8888:8888 lottery-tickets
# Then open the address that it prints. Work is kept with -v "$PWD/work:/home/learner/notebooks".
FROM python:3.12-slim

# The build of PyTorch without GPU: a tenth of the size.
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu

COPY . /tmp/lthlab
RUN pip install --no-cache-dir "/tmp/lthlab[fast,lab]" && rm -rf /tmp/lthlab

RUN useradd --create-home learner
USER learner
WORKDIR /home/learner
EXPOSE 8888
CMD ["lthlab", "lab", "notebooks", "--no-browser", "--ip=0.0.0.0"]

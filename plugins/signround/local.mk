# plugin signround

"""An Android device over ADB: the server on this machine, the shell protocol, files, phones."""

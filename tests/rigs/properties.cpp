// Android's properties for an adbd that runs on Linux: read from the phone's /system/build.prop, like getprop there.
// Takes the place of libbase's version, which on Linux knows none.
#include <android-base/properties.h>

#include <fstream>

namespace android {
namespace base {

std::string GetProperty(const std::string& key, const std::string& default_value) {
    std::ifstream properties("/system/build.prop");
    for (std::string line; std::getline(properties, line);) {
        if (line.compare(0, key.size() + 1, key + "=") == 0) return line.substr(key.size() + 1);
    }
    return default_value;
}

bool GetBoolProperty(const std::string& key, bool default_value) {
    const std::string value = GetProperty(key, "");
    return value.empty() ? default_value : value == "1";
}

}  // namespace base
}  // namespace android

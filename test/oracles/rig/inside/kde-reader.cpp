// What KDE's libraries make of .desktop files. usage: kde-reader FILES.json < PATHS > ANSWERS
// FILES.json is a list of lists of paths; the answer for each .desktop file is one line of JSON.
#include <KIO/DesktopExecParser>
#include <KService>
#include <KServiceAction>
#include <QCoreApplication>
#include <QFile>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTextStream>
#include <QUrl>

static QJsonArray launches(const KService &service, const QList<QList<QUrl>> &sets)
{
    QJsonArray all;
    for (const QList<QUrl> &urls : sets)
        all << QJsonArray::fromStringList(KIO::DesktopExecParser(service, urls).resultingArguments());
    return all;
}

static QJsonObject describe(const QString &path, const QList<QList<QUrl>> &sets)
{
    const KService service(path);
    QJsonObject answer{{QStringLiteral("valid"), service.isValid()}};
    if (!service.isValid())
        return answer;
    answer[QStringLiteral("name")] = service.name();
    answer[QStringLiteral("genericName")] = service.genericName();
    answer[QStringLiteral("comment")] = service.comment();
    answer[QStringLiteral("icon")] = service.icon();
    answer[QStringLiteral("categories")] = QJsonArray::fromStringList(service.categories());
    answer[QStringLiteral("keywords")] = QJsonArray::fromStringList(service.keywords());
    answer[QStringLiteral("mimeTypes")] = QJsonArray::fromStringList(service.mimeTypes());
    answer[QStringLiteral("protocols")] =
        QJsonArray::fromStringList(KIO::DesktopExecParser::supportedProtocols(service));
    answer[QStringLiteral("noDisplay")] = service.noDisplay();
    answer[QStringLiteral("shownHere")] = service.showInCurrentDesktop();
    answer[QStringLiteral("terminal")] = service.terminal();
    answer[QStringLiteral("workingDirectory")] = service.workingDirectory();
    answer[QStringLiteral("substitutesUser")] = service.substituteUid();
    answer[QStringLiteral("dbusActivatable")] = service.property<bool>(QStringLiteral("DBusActivatable"));
    answer[QStringLiteral("prefersDgpu")] = service.runOnDiscreteGpu();
    answer[QStringLiteral("exec")] = service.exec();
    answer[QStringLiteral("launches")] = launches(service, sets);
    QJsonArray actions;
    const auto list = service.actions();
    for (const KServiceAction &action : list) {
        // As KIO starts an action: the service with the action's command.
        KService started(service);
        started.setExec(action.exec());
        actions << QJsonObject{
            {QStringLiteral("id"), action.name()},
            {QStringLiteral("name"), action.text()},
            {QStringLiteral("icon"), action.icon()},
            {QStringLiteral("exec"), action.exec()},
            {QStringLiteral("launches"), launches(started, sets)},
        };
    }
    answer[QStringLiteral("actions")] = actions;
    return answer;
}

int main(int argc, char **argv)
{
    QCoreApplication app(argc, argv);
    QFile file(QString::fromLocal8Bit(argv[1]));
    if (!file.open(QIODevice::ReadOnly))
        return 2;
    QList<QList<QUrl>> sets;
    const QJsonArray lists = QJsonDocument::fromJson(file.readAll()).array();
    for (const QJsonValue &list : lists) {
        QList<QUrl> urls;
        const QJsonArray paths = list.toArray();
        for (const QJsonValue &path : paths)
            urls << QUrl::fromLocalFile(path.toString());
        sets << urls;
    }
    QTextStream in(stdin);
    QFile out;
    if (!out.open(stdout, QIODevice::WriteOnly))
        return 3;
    for (QString path = in.readLine(); !path.isNull(); path = in.readLine())
        out.write(QJsonDocument(describe(path, sets)).toJson(QJsonDocument::Compact) + '\n');
    return 0;
}
